"""People, and the sessions and tokens they sign in with."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from controld.model.caller import TokenKind
from controld.model.role import Role


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who may sign in."""

    id: str
    username: str
    is_super_admin: bool
    created_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What becomes of a user; absent: it stays."""

    password: str | None = None
    is_super_admin: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A sign-in by password; it slides with use up to its last moment."""

    id: str
    token_sha256: str
    user_id: str
    created_at: dt.datetime
    expires_at: dt.datetime
    last_used_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token for programs, which acts for its user within its limits."""

    id: str
    token_sha256: str
    user_id: str
    name: str
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    """Absent: it does not expire."""
    last_used_at: dt.datetime | None = None
    project_id: str | None = None
    """The only project it reaches; absent: all of its user's."""
    role_ceiling: Role | None = None
    """The highest role it gives; absent: its user's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a session or API token stands for, with all that permission needs."""

    kind: TokenKind
    id: str
    user: User
    memberships: Mapping[str, Role]
    """Role by project id."""
    created_at: dt.datetime
    expires_at: dt.datetime | None
    project_limit: str | None = None
    role_ceiling: Role | None = None

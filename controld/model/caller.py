"""Who asks: what a credential has been found to stand for."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Mapping
from typing import Final

from controld.model.role import Role


class CallerKind(enum.Enum):
    """What stands behind a credential."""

    USER = "user"
    BOOTSTRAP = "bootstrap"
    NODE = "node"


class TokenKind(enum.Enum):
    """How the caller showed who they are."""

    SESSION = "session"
    API_TOKEN = "api_token"
    SETUP_SECRET = "setup_secret"
    CERTIFICATE = "certificate"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A recognised caller with all that permission needs; it is made anew whenever any of that changes."""

    kind: CallerKind
    token_kind: TokenKind
    token_id: str | None = None
    """The id of the session or API token."""
    user_id: str | None = None
    username: str | None = None
    user_created_at: dt.datetime | None = None
    is_super_admin: bool = False
    memberships: Mapping[str, Role] = dataclasses.field(default_factory=dict)
    """Role by project id."""
    project_limit: str | None = None
    """The only project that the token reaches; absent: all of the user's."""
    role_ceiling: Role | None = None
    """The highest role that the token gives; absent: the user's own."""
    node_id: str | None = None
    address: str = ""
    """Where the ask came from."""

    @property
    def is_limited(self) -> bool:
        """Whether the token gives less than its user has."""
        return self.project_limit is not None or self.role_ceiling is not None


SETUP_CALLER: Final = Caller(kind=CallerKind.BOOTSTRAP, token_kind=TokenKind.SETUP_SECRET, is_super_admin=True)
"""Whoever holds the setup secret: a super-admin who is no person."""

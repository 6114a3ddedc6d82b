"""What the client reads of the answers of `/v1`; fields it has no use for are passed over."""

from __future__ import annotations

import datetime as dt

import msgspec


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A session."""

    token: str
    expires_at: dt.datetime


class TokenMade(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, shown this once."""

    id: str
    name: str
    token: str


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project."""

    id: str
    name: str
    description: str | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service's configuration, as far as the client shows it."""

    id: str
    project_id: str
    name: str
    domains: tuple[str, ...] = ()
    internal_port: int = 0


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A hostname of a service."""

    id: str
    hostname: str
    status: str


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A staged build context."""

    upload_id: str
    expires_at: dt.datetime


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment and where it stands."""

    id: str
    service_id: str
    status: str
    created_at: dt.datetime
    reason: str | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node and when it was last heard."""

    id: str
    name: str
    state: str
    heard_at: dt.datetime | None = None


class JoinTokenMade(msgspec.Struct, frozen=True, kw_only=True):
    """A join token, shown this once."""

    token: str
    expires_at: dt.datetime

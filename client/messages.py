"""What the client reads of the answers of `/v1`; fields it has no use for are passed over."""

from __future__ import annotations

import datetime as dt
from typing import Any

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


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a service by name; what speaks TCP is reached at `public_port` of the nodes."""

    name: str
    protocol: str
    internal_port: int
    public_port: int | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service's configuration, as far as the client shows it."""

    id: str
    project_id: str
    name: str
    domains: tuple[str, ...] = ()
    internal_port: int = 0
    endpoints: tuple[Endpoint, ...] = ()


class CertificateState(msgspec.Struct, frozen=True, kw_only=True):
    """How a host stands with its certificate."""

    status: str
    expires_at: dt.datetime | None = None
    last_error: str | None = None
    next_try_at: dt.datetime | None = None


class Certificate(CertificateState, frozen=True, kw_only=True):
    """A host's certificate."""

    hostname: str


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """A hostname of a service; it routes once it is verified."""

    id: str
    hostname: str
    status: str
    challenge_token: str = ""
    last_error: str | None = None
    certificate: CertificateState | None = None


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """A registry that a project pulls from."""

    id: str
    name: str
    endpoint: str
    auth_kind: str


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A staged build context."""

    upload_id: str
    expires_at: dt.datetime


class GitCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A deploy key or an https sign-in by its public half."""

    name: str
    kind: str
    created_at: dt.datetime
    public_key: str | None = None
    fingerprint_sha256: str | None = None
    username: str | None = None


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment runs."""

    id: str
    digest: str
    source: dict[str, Any]


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment and where it stands."""

    id: str
    service_id: str
    status: str
    created_at: dt.datetime
    reason: str | None = None
    artifact: Artifact | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as far as the client shows it."""

    id: str
    project_id: str
    name: str
    schedule: str | None = None
    timezone: str = "UTC"
    next_run_at: dt.datetime | None = None


class JobRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a job and how it stands."""

    id: str
    job_id: str
    status: str
    attempt: int
    created_at: dt.datetime
    exit_code: int | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    due_at: dt.datetime | None = None
    reason: str | None = None
    node_id: str | None = None


class ConsoleTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A right to connect to a console once."""

    ticket: str
    expires_at: dt.datetime
    ws_path: str


class NodeReplica(msgspec.Struct, frozen=True, kw_only=True):
    """A replica that is placed on a node."""

    id: str
    service: str
    index: int
    wanted: str
    state: str | None
    reason: str | None
    waits_for: str | None
    """Why it cannot leave a node that is set aside."""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A service as it runs."""

    service_id: str
    service_name: str
    project_id: str
    status: str | None
    replica_count: int
    healthy_replicas: int
    wanted_replicas: int
    problem: str | None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node and when it was last heard."""

    id: str
    name: str
    state: str
    heard_at: dt.datetime | None = None
    labels: dict[str, str] = {}
    replicas: tuple[NodeReplica, ...] = ()
    """What is placed on it; told of one node alone."""


class JoinTokenMade(msgspec.Struct, frozen=True, kw_only=True):
    """A join token, shown this once."""

    token: str
    expires_at: dt.datetime


class AuditActor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did something."""

    kind: str
    name: str | None = None
    id: str | None = None


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change, console or refused attempt."""

    id: str
    at: dt.datetime
    actor: AuditActor
    address: str
    action: str
    object_kind: str
    object_id: str | None
    outcome: str
    details: dict[str, Any]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may sign in."""

    id: str
    username: str
    is_super_admin: bool = False


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A user's role in a project."""

    user_id: str
    role: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token without its secret."""

    id: str
    name: str
    expires_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None
    project_id: str | None = None
    role: str | None = None

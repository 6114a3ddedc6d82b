"""Consoles: who may open one, into which replica, and how it went."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.model.caller import Caller
from controld.model.node import Node


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleReplica:
    """A replica of the promoted deployment that runs, so that a console can be opened in it."""

    service_id: str
    service_name: str
    deployment_id: str
    replica_id: str
    index: int
    node_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleAsked:
    """The console that somebody wants: in which replica, how large, and which of theirs they come back to."""

    replica_index: int
    cols: int
    rows: int
    session_id: str | None = None
    """The console to come back to; absent: a new one."""
    received: int | None = None
    """Bytes of its output that they have; absent: they want all that is kept."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleTicket:
    """A right to connect once to one console, as long as it is fresh; only the hash of it is kept."""

    sha256: str
    session_id: str
    is_return: bool
    """The console exists already."""
    received: int | None
    project_id: str
    service_id: str
    deployment_id: str
    replica_id: str
    replica_index: int
    node_id: str
    cols: int
    rows: int
    holder: Caller
    """Whom it was given to; what they may do now is asked again when it is used."""
    expires_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuedTicket:
    """A ticket as it is shown, once."""

    ticket: str
    expires_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A console on record; `how` is why it ended, absent while it runs."""

    id: str
    project_id: str
    service_id: str
    deployment_id: str
    replica_id: str
    replica_index: int
    node_id: str
    holder: Caller
    cols: int
    rows: int
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    how: str | None = None
    exit_code: int | None = None
    transcript_bytes: int | None = None
    """Absent: none was kept."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A ticket that was taken and found good: connect its holder to this node."""

    ticket: ConsoleTicket
    node: Node
    address: str
    """Where they connect from."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleTerms:
    """How long consoles may last and how many there may be here; seconds."""

    at_once: int
    per_service: int
    ticket_seconds: float
    grace_seconds: float
    idle_seconds: float
    limit_seconds: float
    ping_seconds: float

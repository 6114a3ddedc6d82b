"""What the node's container engine holds of ours, in our words."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass

import msgspec

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class ContainerState(enum.Enum):
    """The engine's word on a container."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A container that should exist: always with our labels, `init`, `no-new-privileges` and json-file log rotation."""

    name: str
    image: str
    """A reference or id that the engine has."""
    labels: tuple[tuple[str, str], ...]
    env: tuple[tuple[str, str], ...]
    command: tuple[str, ...] | None
    cpu_millis: int
    memory_bytes: int
    pids: int
    network: str
    stop_seconds: int
    restarts: bool = True
    """The engine starts it again when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container of ours as the engine tells it."""

    id: str
    name: str
    labels: tuple[tuple[str, str], ...]
    state: ContainerState
    image_id: str
    pid: int | None
    """Of its first process; None when it does not run."""
    ip: str | None
    """On our network; None when it does not run."""
    exit_code: int | None
    oom_killed: bool
    restarts: int
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    error: str | None
    """What the engine says of a start that failed."""

    def label(self, name: str) -> str | None:
        """The value of a label, or None."""
        return dict(self.labels).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that the engine has."""

    id: str
    digests: tuple[str, ...]
    """`repository@sha256:…`, one for each registry it came from or went to; empty for one made here."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldImage:
    """An image that carries our label, with everything that names it."""

    id: str
    references: tuple[str, ...]
    """Tags and digests, each with its repository; empty for an image that lost its last name."""
    node_id: str
    """Of the node that built it."""
    created_at: dt.datetime
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """The engine itself."""

    version: str
    api_version: str
    cgroup_version: str
    cgroup_driver: str
    """`cgroupfs` or `systemd`: it decides where a container's cgroup lies."""
    storage_driver: str


class EventKind(enum.Enum):
    """What an engine event is about; the rest is passed over."""

    CONTAINER_STARTED = "start"
    CONTAINER_DIED = "die"
    CONTAINER_OOM = "oom"
    CONTAINER_DESTROYED = "destroy"
    CONTAINER_OTHER = "other"
    RESYNC = "resync"
    """The watch was (re)connected: whatever happened meanwhile has to be looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something that happened to a container of ours."""

    kind: EventKind
    at: dt.datetime
    container_id: str | None
    labels: tuple[tuple[str, str], ...] = ()
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLine:
    """One line of a container's log with the engine's timestamp; `partial`: the line goes on in the next record."""

    at: dt.datetime
    stream: str
    text: bytes
    partial: bool = False


class LoggedLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a container's log, or a piece of a long one, as text that is safe to send.

    A struct, since hundreds of thousands are made a second.
    """

    usec: int
    """The engine's timestamp in microseconds since 1970, what is finer cut off."""
    stream: str
    text: str
    partial: bool = False
    """The line goes on in the next one of the stream."""

    @property
    def at(self) -> dt.datetime:
        """The engine's timestamp."""
        return EPOCH + dt.timedelta(microseconds=self.usec)

"""The link: frames on the one long-lived WebSocket that the agent dials to controld's node side.

Frames are JSON in binary WebSocket messages, told apart by the field `t`. The agent sends heartbeats; controld answers
each by its `seq`, and sends `SpecPushed` on its own when the wanted spec changes.
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import Final

import msgspec

from wire.base import Lenient
from wire.spec import NodeSpec

PATH: Final = "/link"


class ReplicaState(enum.Enum):
    """Where a replica stands on its node."""

    PENDING = "pending"
    PULLING = "pulling"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    EXITED = "exited"
    """Its process ended; it is started again with back-off while it is wanted."""
    FAILED = "failed"
    """It cannot be started: `reason` says why."""


class ReplicaReport(Lenient, frozen=True, omit_defaults=True):
    """What the node observes of one replica."""

    id: str
    state: ReplicaState
    since_at: dt.datetime
    """When it entered this state."""
    container_id: str | None = None
    address: str | None = None
    """`ip:port` where ingress reaches it."""
    restarts: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    reason: str | None = None
    """Why it is unhealthy, exited or failed, in a sentence."""
    last_lines: tuple[str, ...] = ()
    """The end of its log when it exited or failed its health check; at most 20 lines."""
    image_bytes: int | None = None
    serving: bool = False
    """Ingress has taken up its route: new requests reach it."""


class JobRunState(enum.Enum):
    """Where an attempt of a job's run stands on its node."""

    PENDING = "pending"
    """Nothing of it was started yet; `reason` says what is in its way."""
    RUNNING = "running"
    ENDED = "ended"
    """Its process has ended; its log can still be read."""
    FAILED = "failed"
    """It was never started and will not be, or it was lost: `reason` says why."""


class EndedBy(enum.Enum):
    """What ended an attempt before its own end."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"


class JobRunReport(Lenient, frozen=True, omit_defaults=True):
    """What the node observes of an attempt of a job's run; one that has ended or failed never changes again."""

    key: str
    """As `wire.spec.JobRun.key` names it."""
    state: JobRunState
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    ended_by: EndedBy | None = None
    """Absent: it ended by itself."""
    reason: str | None = None


class HostReport(Lenient, frozen=True):
    """Numbers of the node itself; CPU counts jiffies since boot."""

    cpu_user_jiffies: int
    cpu_nice_jiffies: int
    cpu_system_jiffies: int
    cpu_idle_jiffies: int
    cpu_iowait_jiffies: int
    cpu_count: int
    memory_total_bytes: int
    memory_available_bytes: int
    load_1m: float
    load_5m: float
    load_15m: float
    disk_total_bytes: int
    disk_available_bytes: int
    recorded_at: dt.datetime


class Part(Lenient, frozen=True, omit_defaults=True):
    """Whether a part that the node leans on answers; `detail` says its version, or why it does not."""

    ok: bool
    detail: str = ""


class Happening(Lenient, frozen=True, omit_defaults=True):
    """Something that happened on the node and is told once: an OOM kill, an exit, a restart of the proxy."""

    at: dt.datetime
    kind: str
    message: str
    replica_id: str | None = None


class Heartbeat(Lenient, frozen=True, omit_defaults=True, tag_field="t", tag="heartbeat"):
    """The node's word on itself; a field that is absent has not changed since the last heartbeat on this link."""

    seq: int
    sent_at: dt.datetime
    applied_digest: str | None
    """Digest of the last spec the node has written down; absent: none yet."""
    converged: bool
    """The node observes what that spec wants, as far as it can be had."""
    wire_version: int
    agent_version: str
    replicas: tuple[ReplicaReport, ...] | None = None
    """All replicas of the node; an empty list says that there are none."""
    job_runs: tuple[JobRunReport, ...] | None = None
    """All attempts of jobs' runs that the spec names; an empty list says that there are none."""
    host: HostReport | None = None
    engine: Part | None = None
    ingress: Part | None = None
    peer_port: int | None = None
    """Where the ingress takes what other nodes hand over; absent: nowhere."""
    happenings: tuple[Happening, ...] = ()
    """What happened since the last heartbeat that was answered."""


class HeartbeatAnswered(Lenient, frozen=True, omit_defaults=True, tag_field="t", tag="answer"):
    """controld's answer to a heartbeat."""

    seq: int
    digest: str
    """What the node should have applied."""
    beat_seconds: float
    """The pace of heartbeats from now on."""
    spec: NodeSpec | None = None
    """Present when the digest differs from the heartbeat's."""


class SpecPushed(Lenient, frozen=True, tag_field="t", tag="spec"):
    """The wanted spec has changed; the node takes it and answers with a heartbeat once it is applied."""

    digest: str
    spec: NodeSpec


class LinkRefused(Lenient, frozen=True, tag_field="t", tag="refused"):
    """controld ends the link and says why (`removed`, `replaced`, `version`); the node keeps what it runs."""

    code: str
    message: str


FromAgent = Heartbeat
FromControl = HeartbeatAnswered | SpecPushed | LinkRefused

_encoder = msgspec.json.Encoder()
_from_agent: msgspec.json.Decoder[FromAgent] = msgspec.json.Decoder(FromAgent)
_from_control: msgspec.json.Decoder[FromControl] = msgspec.json.Decoder(FromControl)


def encode_frame(frame: FromAgent | FromControl) -> bytes:
    """The frame as it travels."""
    return _encoder.encode(frame)


def decode_from_agent(data: bytes | bytearray) -> FromAgent:
    """What an agent sent; raises msgspec.MsgspecError."""
    return _from_agent.decode(data)


def decode_from_control(data: bytes) -> FromControl:
    """What controld sent; raises msgspec.MsgspecError."""
    return _from_control.decode(data)

"""What operators are shown of a running service: lines of its log, readings and requests."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass

from wire.agent.history import HostHistory, ReplicaHistory
from wire.agent.logs import LogLine
from wire.agent.metrics import ReplicaMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class LogText:
    """A line of the log; whoever has seen it resumes behind it by `id`, which is not that of `line`."""

    id: str
    node_id: str
    line: LogLine

    @property
    def text(self) -> str:
        """What the replica wrote."""
        return self.line.text


class NoticeKind(enum.Enum):
    """What a stream says of itself."""

    DROPPED = "dropped"
    """Lines are missing here, since the reader was too slow."""
    UNREACHABLE = "unreachable"
    """Lines of a node are missing until it answers."""
    REACHABLE = "reachable"
    """The node answers again; what it had meanwhile follows."""
    ENDED = "ended"
    """All that was asked for was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNotice:
    """A word of the stream on itself; `id` is that of the line ahead of it, empty before the first."""

    id: str
    kind: NoticeKind
    text: str


LogNews = LogText | LogNotice


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvents:
    """Lines of the log as events of a stream, with their ids, as they came from their node."""

    data: bytes


LogBatch = list[LogNews] | LogEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentLog:
    """The newest lines of a service, oldest first, and the nodes whose lines are missing."""

    lines: tuple[LogText, ...]
    unreachable: tuple[str, ...]
    """Names of nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaReading:
    """A replica of the promoted deployment, and what its node read of it; None while the node does not tell."""

    replica_id: str
    deployment_id: str
    index: int
    node_id: str
    cpu_limit_millis: int
    memory_limit_bytes: int
    metrics: ReplicaMetrics | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReading:
    """Sums over the replicas that could be read, with each replica beside them."""

    service_name: str
    recorded_at: dt.datetime
    """The oldest of the readings that are summed."""
    cpu_usage_usec: int
    memory_current_bytes: int
    cpu_limit_millis: int
    memory_limit_bytes: int
    replicas: tuple[ReplicaReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a replica used lately, and which node remembers it."""

    node_id: str
    history: ReplicaHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePast:
    """What a service's replicas used lately; `unreachable` says why nodes are missing from it."""

    service_name: str
    since: dt.datetime
    step_seconds: int
    fields: tuple[str, ...]
    replicas: tuple[Past, ...]
    unreachable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePast:
    """What a node used lately; without points where `unreachable` says why it does not tell."""

    node_id: str
    since: dt.datetime
    history: HostHistory
    unreachable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A request that ingress answered for a service."""

    service_name: str
    method: str
    path: str
    status: int
    bytes: int | None
    duration_ms: int | None
    recorded_at: dt.datetime
    replica_id: str | None

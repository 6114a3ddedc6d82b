"""The JSON of what was used lately."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from controld.api.v1.moments import Moment, read_moment
from controld.model.observed import NodePast, ServicePast
from wire.agent.history import Point
from wire.base import Lenient

T = TypeVar("T")

_HOUR = dt.timedelta(hours=1)


class HistoryQuery(Lenient, frozen=True):
    """From when on, and how wide points should be in seconds; what is older than an hour is kept by the minute, for a
    week. Absent `since` with a `step`: the last hour.
    """

    since: Moment = None
    step: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None

    def resolve(self, now: dt.datetime) -> tuple[dt.datetime, int]:
        """The moment and the width that are meant; raises Invalid."""
        return read_moment("since", self.since, now) or now - _HOUR, self.step or 10


class PointShape(Lenient, frozen=True, kw_only=True):
    """One replica's use in the time that begins at `recorded_at`: rates are means, memory and PIDs the greatest.

    Null is what is not known; `*_millis` are milliseconds in a second.
    """

    recorded_at: dt.datetime
    cpu_millis: float | None = None
    cpu_throttled_millis: float | None = None
    memory_bytes: float | None = None
    pids: float | None = None
    io_read_bytes_per_second: float | None = None
    io_written_bytes_per_second: float | None = None
    network_received_bytes_per_second: float | None = None
    network_sent_bytes_per_second: float | None = None
    cpu_pressure_millis: float | None = None
    memory_pressure_millis: float | None = None
    io_pressure_millis: float | None = None


class ReplicaHistoryShape(Lenient, frozen=True):
    """One replica, oldest point first."""

    replica_id: str
    deployment_id: str
    index: int
    node_id: str
    points: list[PointShape]


class ServiceHistoryShape(Lenient, frozen=True):
    """Every replica that the nodes remember; `unreachable` says of each node that is missing why."""

    service_name: str
    since: dt.datetime
    step_seconds: int
    replicas: list[ReplicaHistoryShape]
    unreachable: list[str]


class NodePointShape(Lenient, frozen=True, kw_only=True):
    """The node's use in the time that begins at `recorded_at`."""

    recorded_at: dt.datetime
    cpu_millis: float | None = None
    cpu_iowait_millis: float | None = None
    memory_used_bytes: float | None = None
    disk_used_bytes: float | None = None
    load_1m: float | None = None


class NodeHistoryShape(Lenient, frozen=True):
    """The node itself, oldest point first; `unreachable` says why it does not tell, if it does not."""

    node_id: str
    since: dt.datetime
    step_seconds: int
    points: list[NodePointShape]
    unreachable: list[str]


def render_past(past: ServicePast) -> ServiceHistoryShape:
    """The service's past."""
    return ServiceHistoryShape(
        service_name=past.service_name,
        since=past.since,
        step_seconds=past.step_seconds,
        replicas=[
            ReplicaHistoryShape(
                replica_id=each.history.replica_id,
                deployment_id=each.history.deployment_id,
                index=each.history.index,
                node_id=each.node_id,
                points=_convert(past.fields, each.history.points, PointShape),
            )
            for each in past.replicas
        ],
        unreachable=list(past.unreachable),
    )


def render_node_past(past: NodePast) -> NodeHistoryShape:
    """The node's past."""
    return NodeHistoryShape(
        node_id=past.node_id,
        since=past.since,
        step_seconds=past.history.step_seconds,
        points=_convert(past.history.fields, past.history.points, NodePointShape),
        unreachable=list(past.unreachable),
    )


def _convert(fields: Sequence[str], points: Sequence[Point], shape: type[T]) -> list[T]:
    return [
        msgspec.convert(
            {"recorded_at": dt.datetime.fromtimestamp(at, dt.UTC), **dict(zip(fields, values, strict=False))}, shape
        )
        for at, values in points
    ]

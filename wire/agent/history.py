"""What was used lately: `GET /metrics/history?service_id=&since=&step_seconds=`, `GET /node/history` likewise.

A point is the second since 1970 that it begins at and its values in the order of `fields`; null is what is not known.
"""

from __future__ import annotations

from wire.base import Lenient

Point = tuple[int, tuple[float | None, ...]]


class ReplicaHistory(Lenient, frozen=True):
    """The points of one replica, oldest first."""

    replica_id: str
    deployment_id: str
    index: int
    points: tuple[Point, ...]


class ServiceHistory(Lenient, frozen=True):
    """Every replica of the service that the node remembers; `step_seconds` is how wide the points are."""

    step_seconds: int
    fields: tuple[str, ...]
    replicas: tuple[ReplicaHistory, ...]


class HostHistory(Lenient, frozen=True):
    """The points of the node itself, oldest first."""

    step_seconds: int
    fields: tuple[str, ...]
    points: tuple[Point, ...]

"""The JSON of readings and requests, and what is asked of a log."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from controld.model.observed import ReplicaReading, RequestRecord, ServiceReading
from wire.base import Lenient


class LogStreamQuery(Lenient, frozen=True):
    """From where a log is followed; a header `Last-Event-ID` takes the place of both."""

    tail: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    """Begin with so many lines of those since `since`; absent: 200, or all of them."""
    since: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    """Begin with the lines written from this moment on."""


class ReplicaReadingShape(Lenient, frozen=True):
    """One replica; null is what could not be read, and `*_source` says where the rest was: cgroup2, cgroup1, procfs."""

    replica_id: str
    deployment_id: str
    index: int
    node_id: str
    recorded_at: dt.datetime | None
    cpu_usage_usec: int | None
    cpu_source: str | None
    memory_current_bytes: int | None
    memory_source: str | None
    cpu_limit_millis: int
    memory_limit_bytes: int
    pids: int | None
    oom_kills: int | None
    restarts: int | None
    network_received_bytes: int | None
    network_sent_bytes: int | None


class ServiceReadingShape(Lenient, frozen=True):
    """Sums over the replicas of the promoted deployment whose CPU and memory could be read."""

    service_name: str
    cpu_usage_usec: int
    memory_current_bytes: int
    recorded_at: dt.datetime
    cpu_limit_millis: int
    memory_limit_bytes: int
    replicas: list[ReplicaReadingShape]


class RequestShape(Lenient, frozen=True):
    """One request; `status` is 0 when no response was written."""

    service_name: str
    method: str
    path: str
    status: int
    bytes: int | None
    duration_ms: int | None
    recorded_at: dt.datetime


def render_reading(reading: ServiceReading) -> ServiceReadingShape:
    """The service's reading."""
    return ServiceReadingShape(
        service_name=reading.service_name,
        cpu_usage_usec=reading.cpu_usage_usec,
        memory_current_bytes=reading.memory_current_bytes,
        recorded_at=reading.recorded_at,
        cpu_limit_millis=reading.cpu_limit_millis,
        memory_limit_bytes=reading.memory_limit_bytes,
        replicas=[_render_replica(replica) for replica in reading.replicas],
    )


def render_request(request: RequestRecord) -> RequestShape:
    """One request."""
    return RequestShape(
        service_name=request.service_name,
        method=request.method,
        path=request.path,
        status=request.status,
        bytes=request.bytes,
        duration_ms=request.duration_ms,
        recorded_at=request.recorded_at,
    )


def _render_replica(replica: ReplicaReading) -> ReplicaReadingShape:
    metrics = replica.metrics
    return ReplicaReadingShape(
        replica_id=replica.replica_id,
        deployment_id=replica.deployment_id,
        index=replica.index,
        node_id=replica.node_id,
        recorded_at=metrics.recorded_at if metrics else None,
        cpu_usage_usec=metrics.cpu_usage_usec if metrics else None,
        cpu_source=metrics.cpu_source if metrics else None,
        memory_current_bytes=metrics.memory_current_bytes if metrics else None,
        memory_source=metrics.memory_source if metrics else None,
        cpu_limit_millis=replica.cpu_limit_millis,
        memory_limit_bytes=replica.memory_limit_bytes,
        pids=metrics.pids if metrics else None,
        oom_kills=metrics.oom_kills if metrics else None,
        restarts=metrics.restarts if metrics else None,
        network_received_bytes=metrics.network_received_bytes if metrics else None,
        network_sent_bytes=metrics.network_sent_bytes if metrics else None,
    )

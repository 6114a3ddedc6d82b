"""The JSON of readings and requests."""

from __future__ import annotations

import datetime as dt

from controld.model.observed import ReplicaReading, RequestRecord, ServiceReading
from wire.agent.metrics import DeviceIo
from wire.base import Lenient


class DeviceIoShape(Lenient, frozen=True):
    """Bytes between a replica and a block device, `major:minor`, since its container started."""

    device: str
    read_bytes: int
    written_bytes: int


class ReplicaReadingShape(Lenient, frozen=True):
    """One replica; null is what could not be read, and `*_source` says where the rest was: cgroup2, cgroup1, procfs,
    netlink. What is in microseconds, and bytes of IO and network, count since the container started.
    """

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
    network_source: str | None
    cpu_user_usec: int | None
    cpu_system_usec: int | None
    cpu_throttled_usec: int | None
    memory_peak_bytes: int | None
    memory_anon_bytes: int | None
    memory_file_bytes: int | None
    memory_kernel_bytes: int | None
    swap_bytes: int | None
    io_devices: list[DeviceIoShape] | None
    io_source: str | None
    cpu_pressure_usec: int | None
    memory_pressure_usec: int | None
    io_pressure_usec: int | None


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
        network_source=metrics.network_source if metrics else None,
        cpu_user_usec=metrics.cpu_user_usec if metrics else None,
        cpu_system_usec=metrics.cpu_system_usec if metrics else None,
        cpu_throttled_usec=metrics.cpu_throttled_usec if metrics else None,
        memory_peak_bytes=metrics.memory_peak_bytes if metrics else None,
        memory_anon_bytes=metrics.memory_anon_bytes if metrics else None,
        memory_file_bytes=metrics.memory_file_bytes if metrics else None,
        memory_kernel_bytes=metrics.memory_kernel_bytes if metrics else None,
        swap_bytes=metrics.swap_bytes if metrics else None,
        io_devices=_render_devices(metrics.io_devices) if metrics else None,
        io_source=metrics.io_source if metrics else None,
        cpu_pressure_usec=metrics.cpu_pressure_usec if metrics else None,
        memory_pressure_usec=metrics.memory_pressure_usec if metrics else None,
        io_pressure_usec=metrics.io_pressure_usec if metrics else None,
    )


def _render_devices(devices: tuple[DeviceIo, ...] | None) -> list[DeviceIoShape] | None:
    if devices is None:
        return None
    return [
        DeviceIoShape(device=each.device, read_bytes=each.read_bytes, written_bytes=each.written_bytes)
        for each in devices
    ]

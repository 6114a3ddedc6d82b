"""Readings of replicas and of the node: `GET /metrics[?service_id=]`, `GET /node`, `GET /requests?service_id=`.

A value that cannot be read is null; `source` says where a value comes from (`cgroup2`, `cgroup1`, `procfs`, `netlink`).
"""

from __future__ import annotations

import datetime as dt

from wire.base import Lenient


class DeviceIo(Lenient, frozen=True):
    """Bytes between a container and a block device, `major:minor`, since the container started."""

    device: str
    read_bytes: int
    written_bytes: int


class ReplicaMetrics(Lenient, frozen=True):
    """Readings of one replica at one moment."""

    replica_id: str
    deployment_id: str
    index: int
    recorded_at: dt.datetime
    cpu_usage_usec: int | None = None
    """Cumulative CPU time in microseconds."""
    cpu_source: str | None = None
    memory_current_bytes: int | None = None
    memory_source: str | None = None
    cpu_limit_millis: int | None = None
    memory_limit_bytes: int | None = None
    pids: int | None = None
    oom_kills: int | None = None
    restarts: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    network_source: str | None = None
    cpu_user_usec: int | None = None
    """Cumulative, as the next and everything of IO and pressure are."""
    cpu_system_usec: int | None = None
    cpu_throttled_usec: int | None = None
    """Time in which its limit kept it from running."""
    memory_peak_bytes: int | None = None
    memory_anon_bytes: int | None = None
    memory_file_bytes: int | None = None
    memory_kernel_bytes: int | None = None
    swap_bytes: int | None = None
    io_devices: tuple[DeviceIo, ...] | None = None
    io_source: str | None = None
    cpu_pressure_usec: int | None = None
    """Time in which some process of it waited for CPU; the next two for memory and IO."""
    memory_pressure_usec: int | None = None
    io_pressure_usec: int | None = None


class ServiceMetrics(Lenient, frozen=True):
    """Readings of replicas on this node: of the service asked about, or of all."""

    replicas: tuple[ReplicaMetrics, ...]


class RequestEntry(Lenient, frozen=True):
    """One request that ingress answered; the path is without query and without identifiers."""

    method: str
    path: str
    status: int
    """0 when no response was written."""
    bytes: int | None
    duration_ms: int | None
    recorded_at: dt.datetime
    replica_id: str | None = None


class RecentRequests(Lenient, frozen=True):
    """The newest requests of a service on this node, newest first, at most 200."""

    requests: tuple[RequestEntry, ...]

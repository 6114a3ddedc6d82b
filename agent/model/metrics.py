"""Readings of a container's use of the machine; what cannot be read is None.

They are structs, since every sweep makes some for each container.
"""

from __future__ import annotations

import datetime as dt
import enum

import msgspec


class ReadingSource(enum.Enum):
    """Where a value was read."""

    CGROUP2 = "cgroup2"
    CGROUP1 = "cgroup1"
    PROCFS = "procfs"
    NETLINK = "netlink"


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A running container that is read."""

    container_id: str
    pid: int
    """Of its first process."""


class DeviceIo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bytes that went between a container and a block device, `major:minor`, since the container started."""

    device: str
    read_bytes: int
    written_bytes: int


class MemoryDetail(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a container's memory is made of; read less often than the rest."""

    peak_bytes: int | None = None
    limit_bytes: int | None = None
    """None where there is no limit."""
    anon_bytes: int | None = None
    file_bytes: int | None = None
    kernel_bytes: int | None = None
    swap_bytes: int | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a container used up to one moment, or uses at it; what is cumulative began when the container started."""

    container_id: str
    recorded_at: dt.datetime
    cpu_usage_usec: int | None = None
    """Cumulative, as its parts are."""
    cpu_user_usec: int | None = None
    cpu_system_usec: int | None = None
    cpu_throttled_usec: int | None = None
    """Cumulative time in which its limit kept it from running."""
    cpu_source: ReadingSource | None = None
    memory_current_bytes: int | None = None
    memory_source: ReadingSource | None = None
    memory: MemoryDetail = MemoryDetail()
    pids: int | None = None
    oom_kills: int | None = None
    io: tuple[DeviceIo, ...] | None = None
    io_source: ReadingSource | None = None
    cpu_pressure_usec: int | None = None
    """Cumulative time in which some process waited for CPU, as the two beneath for memory and IO; from cgroup v2."""
    memory_pressure_usec: int | None = None
    io_pressure_usec: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    network_source: ReadingSource | None = None

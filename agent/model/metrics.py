"""Readings of a container's use of the machine; what cannot be read is None."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass


class ReadingSource(enum.Enum):
    """Where a value was read."""

    CGROUP2 = "cgroup2"
    CGROUP1 = "cgroup1"
    PROCFS = "procfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running container that is read."""

    container_id: str
    pid: int
    """Of its first process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a container used up to one moment, or uses at it."""

    container_id: str
    recorded_at: dt.datetime
    cpu_usage_usec: int | None = None
    """Cumulative since the container started."""
    cpu_source: ReadingSource | None = None
    memory_current_bytes: int | None = None
    memory_source: ReadingSource | None = None
    pids: int | None = None
    oom_kills: int | None = None
    """Since the container started."""
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None

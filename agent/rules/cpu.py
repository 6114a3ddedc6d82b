"""CPU time from the kernel's words."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TIMES: Final = re.compile(rb"^usage_usec (\d+)(?:\nuser_usec (\d+)\nsystem_usec (\d+))?", re.MULTILINE)
_THROTTLED: Final = re.compile(rb"^throttled_(usec|time) (\d+)$", re.MULTILINE)


class CpuTimes(NamedTuple):
    """Microseconds of CPU time; None for a part that the kernel does not tell."""

    usage_usec: int
    user_usec: int | None = None
    system_usec: int | None = None
    throttled_usec: int | None = None
    """Time in which a limit held processes back."""


def parse_cpu_stat(data: bytes) -> CpuTimes | None:
    """CPU time from cgroup v2's `cpu.stat`."""
    found = _TIMES.search(data)
    if found is None:
        return None
    usage, user, system = found.groups()
    throttled = parse_throttled_usec(data)
    if user is None:
        return CpuTimes(int(usage), throttled_usec=throttled)
    return CpuTimes(int(usage), int(user), int(system), throttled)


def parse_cpuacct_usage(data: bytes) -> CpuTimes | None:
    """CPU time from cgroup v1's `cpuacct.usage`, which counts nanoseconds."""
    text = data.strip()
    return CpuTimes(int(text) // 1000) if text.isdigit() else None


def parse_throttled_usec(data: bytes) -> int | None:
    """Microseconds in which a limit held processes back, from `cpu.stat` of v2 or, in nanoseconds, of v1."""
    found = _THROTTLED.search(data)
    if found is None:
        return None
    return int(found[2]) if found[1] == b"usec" else int(found[2]) // 1000

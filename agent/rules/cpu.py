"""CPU time from the kernel's words."""

from __future__ import annotations

import re
from typing import Final

_USAGE: Final = re.compile(rb"^usage_usec (\d+)$", re.MULTILINE)


def parse_cpu_stat(data: bytes) -> int | None:
    """Microseconds of CPU time, from cgroup v2's `cpu.stat`."""
    found = _USAGE.search(data)
    return int(found[1]) if found else None


def parse_cpuacct_usage(data: bytes) -> int | None:
    """Microseconds of CPU time, from cgroup v1's `cpuacct.usage`, which counts nanoseconds."""
    text = data.strip()
    return int(text) // 1000 if text.isdigit() else None

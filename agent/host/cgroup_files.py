"""Which file of which cgroup tells what of a container, the better choice first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from agent.model.metrics import ReadingSource
from agent.rules.cgroup_paths import UNIFIED
from agent.rules.cpu import parse_cpu_stat, parse_cpuacct_usage, parse_throttled_usec
from agent.rules.io import parse_blkio, parse_io_stat, parse_pressure
from agent.rules.memory import parse_count, parse_limit, parse_memory_kinds, parse_oom_kills


class Choice(NamedTuple):
    """A file in the cgroup of a controller, and the rule that reads it."""

    controller: str
    file: str
    source: ReadingSource
    parse: Callable[[bytes], Any]


def _v2(file: str, parse: Callable[[bytes], Any]) -> Choice:
    return Choice(UNIFIED, file, ReadingSource.CGROUP2, parse)


def _v1(controller: str, file: str, parse: Callable[[bytes], Any]) -> Choice:
    return Choice(controller, file, ReadingSource.CGROUP1, parse)


HELD: Final[dict[str, tuple[Choice, ...]]] = {
    "cpu": (_v2("cpu.stat", parse_cpu_stat), _v1("cpuacct", "cpuacct.usage", parse_cpuacct_usage)),
    "throttled": (_v1("cpu", "cpu.stat", parse_throttled_usec),),
    "memory": (_v2("memory.current", parse_count), _v1("memory", "memory.usage_in_bytes", parse_count)),
    "oom": (_v2("memory.events", parse_oom_kills), _v1("memory", "memory.oom_control", parse_oom_kills)),
    "pids": (_v2("pids.current", parse_count), _v1("pids", "pids.current", parse_count)),
    "io": (_v2("io.stat", parse_io_stat), _v1("blkio", "blkio.throttle.io_service_bytes", parse_blkio)),
    "cpu_pressure": (_v2("cpu.pressure", parse_pressure),),
    "memory_pressure": (_v2("memory.pressure", parse_pressure),),
    "io_pressure": (_v2("io.pressure", parse_pressure),),
}
"""What each sweep reads, on descriptors that stay open."""

MORE: Final[dict[str, tuple[Choice, ...]]] = {
    "peak": (_v2("memory.peak", parse_count), _v1("memory", "memory.max_usage_in_bytes", parse_count)),
    "limit": (_v2("memory.max", parse_limit), _v1("memory", "memory.limit_in_bytes", parse_limit)),
    "kinds": (_v2("memory.stat", parse_memory_kinds), _v1("memory", "memory.stat", parse_memory_kinds)),
    "swap": (_v2("memory.swap.current", parse_count),),
}
"""What is read now and then."""

PROCESSES: Final = (
    _v2("cgroup.procs", parse_count),
    _v1("memory", "cgroup.procs", parse_count),
    _v1("cpuacct", "cgroup.procs", parse_count),
)
"""Where the processes are listed, for want of a memory controller."""

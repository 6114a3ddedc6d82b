"""Numbers of the machine itself from the kernel's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_CPU_NUMBER: Final = re.compile(r"^cpu\d+ ", re.MULTILINE)
_MEMORY: Final = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuJiffies:
    """CPU time of all cores since boot, in jiffies."""

    user: int
    nice: int
    system: int
    idle: int
    iowait: int
    count: int
    """How many cores are online."""


def parse_stat(text: str) -> CpuJiffies:
    """The first lines of `/proc/stat`; ValueError when they are not there."""
    fields = text.partition("\n")[0].split()
    if len(fields) < 6 or fields[0] != "cpu":
        raise ValueError("/proc/stat does not begin with the sums of all cores")
    user, nice, system, idle, iowait = map(int, fields[1:6])
    count = len(_CPU_NUMBER.findall(text))
    return CpuJiffies(user=user, nice=nice, system=system, idle=idle, iowait=iowait, count=max(1, count))


def parse_meminfo(text: str) -> tuple[int, int]:
    """Total and available bytes, from `/proc/meminfo`; ValueError when they are not there.

    Kernels before 3.14 do not say what is available: then it is what is free or in caches.
    """
    found = {name: int(number) * 1024 for name, number in _MEMORY.findall(text)}
    if "MemTotal" not in found:
        raise ValueError("/proc/meminfo does not say MemTotal")
    spare = found.get("MemFree", 0) + found.get("Buffers", 0) + found.get("Cached", 0)
    return found["MemTotal"], found.get("MemAvailable", spare)


def parse_loadavg(text: str) -> tuple[float, float, float]:
    """The load over 1, 5 and 15 minutes, from `/proc/loadavg`; ValueError when it is not there."""
    fields = text.split()
    if len(fields) < 3:
        raise ValueError("/proc/loadavg does not say three loads")
    return float(fields[0]), float(fields[1]), float(fields[2])

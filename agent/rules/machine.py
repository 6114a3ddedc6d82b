"""Pressure, disks and network interfaces of the machine from the kernel's words."""

from __future__ import annotations

import re
from typing import Final

from agent.model.machine import Pressure, Traffic

_SECTOR_BYTES: Final = 512
"""Of `/proc/diskstats`, whatever the disk's own sectors are."""
_TOTAL: Final = re.compile(r"^(some|full) .*total=(\d+)$", re.MULTILINE)
_NO_DISK: Final = re.compile(r"(?:loop|ram|zram|sr|fd)\d+")
_PARTITION: Final = re.compile(r"(?P<disk>.*?[a-z]|.*\dp)\d+")
_OF_CONTAINERS: Final = re.compile(r"lo|veth.*|br-.*|docker\d+")


def parse_machine_pressure(resource: str, text: str) -> Pressure | None:
    """A file of `/proc/pressure`; None when it is not one."""
    totals = {kind: int(usec) for kind, usec in _TOTAL.findall(text)}
    if "some" not in totals:
        return None
    return Pressure(resource=resource, some_usec=totals["some"], full_usec=totals.get("full"))


def parse_diskstats(text: str) -> tuple[Traffic, ...]:
    """Whole disks of `/proc/diskstats`, in its order: what a partition carries, its disk does."""
    lines = [fields for line in text.splitlines() if len(fields := line.split()) >= 10]
    names = {fields[2] for fields in lines}
    return tuple(
        Traffic(name=name, in_bytes=int(fields[5]) * _SECTOR_BYTES, out_bytes=int(fields[9]) * _SECTOR_BYTES)
        for fields in lines
        if _NO_DISK.fullmatch(name := fields[2]) is None and not _is_partition(name, names)
    )


def parse_interfaces(text: str) -> tuple[Traffic, ...]:
    """Interfaces of `/proc/net/dev`, in its order, without loopback and what the engine makes for containers."""
    found = []
    for line in text.splitlines():
        name, colon, numbers = line.partition(":")
        fields = numbers.split()
        if colon and len(fields) >= 9 and _OF_CONTAINERS.fullmatch(name.strip()) is None:
            found.append(Traffic(name=name.strip(), in_bytes=int(fields[0]), out_bytes=int(fields[8])))
    return tuple(found)


def _is_partition(name: str, names: set[str]) -> bool:
    found = _PARTITION.fullmatch(name)
    return found is not None and bool({found["disk"], found["disk"].removesuffix("p")} & names)

"""Block IO and pressure from the kernel's words."""

from __future__ import annotations

import re
from typing import Final

from agent.model.metrics import DeviceIo

_DEVICE: Final = re.compile(rb"^(\d+:\d+) rbytes=(\d+) wbytes=(\d+)", re.MULTILINE)
_SERVICED: Final = re.compile(rb"^(\d+:\d+) (Read|Write) (\d+)$", re.MULTILINE)
_SOME: Final = re.compile(rb"^some .*total=(\d+)$", re.MULTILINE)


def parse_io_stat(data: bytes) -> tuple[DeviceIo, ...]:
    """Bytes by device, from cgroup v2's `io.stat`; empty when there was no IO."""
    return tuple(
        DeviceIo(device=device.decode(), read_bytes=int(read), written_bytes=int(written))
        for device, read, written in _DEVICE.findall(data)
    )


def parse_blkio(data: bytes) -> tuple[DeviceIo, ...]:
    """Bytes by device, from cgroup v1's `blkio.throttle.io_service_bytes`; empty when there was no IO."""
    found: dict[str, dict[bytes, int]] = {}
    for device, verb, count in _SERVICED.findall(data):
        found.setdefault(device.decode(), {})[verb] = int(count)
    return tuple(
        DeviceIo(device=device, read_bytes=counts.get(b"Read", 0), written_bytes=counts.get(b"Write", 0))
        for device, counts in found.items()
    )


def parse_pressure(data: bytes) -> int | None:
    """Microseconds in which some process waited, from `cpu.pressure`, `memory.pressure` or `io.pressure`."""
    found = _SOME.search(data)
    return int(found[1]) if found else None

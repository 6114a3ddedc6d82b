"""What a replica and the machine use, as numbers that can be kept: rates and levels, None where unknown."""

from __future__ import annotations

from typing import Final

RATES: Final = (
    "cpu_millis",
    "cpu_throttled_millis",
    "io_read_bytes_per_second",
    "io_written_bytes_per_second",
    "network_received_bytes_per_second",
    "network_sent_bytes_per_second",
    "cpu_pressure_millis",
    "memory_pressure_millis",
    "io_pressure_millis",
)
"""Means over the time since the reading before; `_millis` are milliseconds in a second."""

LEVELS: Final = ("memory_bytes", "pids")

FIELDS: Final = (*RATES, *LEVELS)

HOST_RATES: Final = ("cpu_millis", "cpu_iowait_millis")
HOST_LEVELS: Final = ("memory_used_bytes", "disk_used_bytes", "load_1m")
HOST_FIELDS: Final = (*HOST_RATES, *HOST_LEVELS)

Values = tuple[float | None, ...]
"""In the order of `FIELDS`, or of `HOST_FIELDS`."""

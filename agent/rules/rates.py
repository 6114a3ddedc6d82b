"""Rates from two readings: what cannot be told from them is None, never a made-up zero."""

from __future__ import annotations

from typing import Final

from agent.model.metrics import DeviceIo, Reading
from agent.model.usage import Values
from wire.link import HostReport

_JIFFIES_PER_SECOND: Final = 100
"""In what the kernel tells programs, on every architecture that we run on."""


def compute_rate(before: int | None, after: int | None, seconds: float) -> float | None:
    """How much the counter grew in a second; None when it began anew, or no time went by."""
    if before is None or after is None or after < before or seconds <= 0:
        return None
    return (after - before) / seconds


def compute_usage(before: Reading | None, after: Reading, seconds: float) -> Values:
    """The values of a replica, whose readings lie so far apart by a clock that never jumps.

    A reading of another container, or of another run of it whose CPU time begins anew, gives no rates; nor does the
    first of all, for which `before` is None.
    """
    memory, pids = after.memory_current_bytes, after.pids
    levels = (None if memory is None else float(memory), None if pids is None else float(pids))
    if before is None or before.container_id != after.container_id or _began_anew(before, after):
        return (None,) * 9 + levels
    (read_before, written_before), (read, written) = _sum_io(before.io), _sum_io(after.io)
    milliseconds = seconds * 1000
    alike = before.network_source is after.network_source
    return (
        compute_rate(before.cpu_usage_usec, after.cpu_usage_usec, milliseconds),
        compute_rate(before.cpu_throttled_usec, after.cpu_throttled_usec, milliseconds),
        compute_rate(read_before, read, seconds),
        compute_rate(written_before, written, seconds),
        compute_rate(before.network_received_bytes, after.network_received_bytes, seconds) if alike else None,
        compute_rate(before.network_sent_bytes, after.network_sent_bytes, seconds) if alike else None,
        compute_rate(before.cpu_pressure_usec, after.cpu_pressure_usec, milliseconds),
        compute_rate(before.memory_pressure_usec, after.memory_pressure_usec, milliseconds),
        compute_rate(before.io_pressure_usec, after.io_pressure_usec, milliseconds),
        *levels,
    )


def compute_host_usage(before: HostReport | None, after: HostReport, seconds: float) -> Values:
    """The values of the machine, likewise."""
    cpu = iowait = None
    if before is not None:
        cpu = compute_rate(_busy_jiffies(before), _busy_jiffies(after), seconds)
        iowait = compute_rate(before.cpu_iowait_jiffies, after.cpu_iowait_jiffies, seconds)
    return (
        None if cpu is None else cpu * 1000 / _JIFFIES_PER_SECOND,
        None if iowait is None else iowait * 1000 / _JIFFIES_PER_SECOND,
        float(after.memory_total_bytes - after.memory_available_bytes),
        float(after.disk_total_bytes - after.disk_available_bytes),
        after.load_1m,
    )


def _began_anew(before: Reading, after: Reading) -> bool:
    return (
        before.cpu_usage_usec is not None
        and after.cpu_usage_usec is not None
        and after.cpu_usage_usec < before.cpu_usage_usec
    )


def _sum_io(devices: tuple[DeviceIo, ...] | None) -> tuple[int | None, int | None]:
    """Bytes read and written over all devices."""
    if devices is None:
        return None, None
    read = written = 0
    for each in devices:
        read += each.read_bytes
        written += each.written_bytes
    return read, written


def _busy_jiffies(host: HostReport) -> int:
    return host.cpu_user_jiffies + host.cpu_nice_jiffies + host.cpu_system_jiffies

"""What this process holds of the machine, as the kernel tells."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kit.exposition import Family, counter, gauge

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReading:
    """Numbers of a process; None is what the kernel does not tell."""

    cpu_seconds: float | None = None
    resident_bytes: int | None = None
    threads: int | None = None
    open_files: int | None = None
    most_open_files: int | None = None
    children: int | None = None
    started_at: float | None = None
    """Seconds since the epoch."""


async def fetch_process(proc_dir: Path = Path("/proc")) -> ProcessReading:
    """This process now; the files are read in a thread."""
    return await asyncio.to_thread(read_process, proc_dir / "self")


def read_process(folder: Path) -> ProcessReading:
    """The process of a folder of procfs; it blocks."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    more = ProcessReading(
        open_files=_count_files(folder),
        most_open_files=None if most == resource.RLIM_INFINITY else most,
        children=_count_children(folder),
    )
    try:
        # The name in brackets may hold spaces, so that fields count from its end.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks, threads, started, pages = int(fields[11]) + int(fields[12]), fields[17], fields[19], fields[21]
        booted = _read_boot(folder.parent)
        return ProcessReading(
            cpu_seconds=ticks / _TICKS_PER_SECOND,
            resident_bytes=int(pages) * _PAGE_BYTES,
            threads=int(threads),
            open_files=more.open_files,
            most_open_files=more.most_open_files,
            children=more.children,
            started_at=None if booted is None else booted + int(started) / _TICKS_PER_SECOND,
        )
    except (OSError, ValueError, IndexError):
        return more


def tell_process(prefix: str, reading: ProcessReading, *, version: str) -> Iterator[Family]:
    """The reading under names with this prefix, and which program it is of."""
    yield gauge(
        f"{prefix}_build_info",
        "Always 1; the labels say what runs.",
        ({"version": version, "python": platform.python_version()}, 1.0),
    )
    yield counter(f"{prefix}_process_cpu_seconds_total", "CPU time of the daemon.", ({}, reading.cpu_seconds))
    for name, help_, value in (
        ("resident_memory_bytes", "Resident memory of the daemon.", reading.resident_bytes),
        ("threads", "Threads of the daemon.", reading.threads),
        ("open_fds", "Open file descriptors of the daemon.", reading.open_files),
        ("max_fds", "How many file descriptors the daemon may open.", reading.most_open_files),
        ("children", "Child processes of the daemon.", reading.children),
        ("start_time_seconds", "When the daemon started, in seconds since the epoch.", reading.started_at),
    ):
        yield gauge(f"{prefix}_process_{name}", help_, ({}, None if value is None else float(value)))


def _count_files(folder: Path) -> int | None:
    try:
        # Since Linux 6.2 the folder's size is the count, which spares a list of thousands.
        return (folder / "fd").stat().st_size or sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return None


def _count_children(folder: Path) -> int | None:
    try:
        tasks = list((folder / "task").iterdir())
    except OSError:
        return None
    count, told = 0, False
    for task in tasks:
        try:
            count += len((task / "children").read_bytes().split())
            told = True
        except OSError:  # the thread has ended, or the kernel does not list children
            continue
    return count if told else None


def _read_boot(proc_dir: Path) -> int | None:
    for line in (proc_dir / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1])
    return None

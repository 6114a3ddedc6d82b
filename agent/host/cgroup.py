"""Reads what containers use from cgroup v2, v1 or both, and procfs, on descriptors that stay open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from agent.model.metrics import Reading, ReadingSource, Target
from agent.rules.cgroup_paths import UNIFIED, list_folders, parse_cgroups
from agent.rules.cpu import parse_cpu_stat, parse_cpuacct_usage
from agent.rules.memory import parse_count, parse_oom_kills, parse_resident_pages
from agent.rules.network import parse_net_dev
from kit.clock import Clock

T = TypeVar("T")

_READ_BYTES: Final = 16 * 1024
_CGROUP2, _CGROUP1 = ReadingSource.CGROUP2, ReadingSource.CGROUP1

_CPU: Final = ((UNIFIED, "cpu.stat", _CGROUP2), ("cpuacct", "cpuacct.usage", _CGROUP1))
_MEMORY: Final = ((UNIFIED, "memory.current", _CGROUP2), ("memory", "memory.usage_in_bytes", _CGROUP1))
_OOM: Final = ((UNIFIED, "memory.events", _CGROUP2), ("memory", "memory.oom_control", _CGROUP1))
_PIDS: Final = ((UNIFIED, "pids.current", _CGROUP2), ("pids", "pids.current", _CGROUP1))
_PROCESSES: Final = ((UNIFIED, "cgroup.procs", _CGROUP2), ("memory", "cgroup.procs", _CGROUP1))


@dataclass(slots=True)
class _Held:
    """The open files of one run of a container; a file that is not there is None."""

    pid: int
    cpu: tuple[int, ReadingSource] | None = None
    memory: tuple[int, ReadingSource] | None = None
    oom: tuple[int, ReadingSource] | None = None
    pids: tuple[int, ReadingSource] | None = None
    processes: tuple[int, ReadingSource] | None = None
    network: int | None = None
    files: list[int] = field(default_factory=list)


class CgroupReader:
    """Reads containers by their first process; `proc_dir` and `cgroup_dir` are where the kernel's trees are mounted.

    The files of a container are opened when it is first read, and closed by `keep`, by `drop`, or when it has another
    process. Calls do not overlap.
    """

    def __init__(self, *, proc_dir: Path, cgroup_dir: Path, clock: Clock) -> None:
        self._proc_dir = proc_dir
        self._cgroup_dir = cgroup_dir
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._lock = asyncio.Lock()
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    @property
    def open_files(self) -> int:
        """How many descriptors are held."""
        return sum(len(held.files) for held in self._held.values())

    async def read(self, targets: Sequence[Target]) -> list[Reading]:
        """A reading of each container, in order."""
        async with self._lock:
            return await asyncio.to_thread(self._read_all, targets)

    async def keep(self, container_ids: Collection[str]) -> None:
        """Close the files of every container but these."""
        async with self._lock:
            for gone in self._held.keys() - set(container_ids):
                self._drop(gone)

    async def drop(self, container_ids: Collection[str]) -> None:
        """Close the files of these containers."""
        async with self._lock:
            for container_id in container_ids:
                self._drop(container_id)

    async def close(self) -> None:
        """Close every file."""
        await self.keep(())

    def _read_all(self, targets: Sequence[Target]) -> list[Reading]:
        return [self._read(target) for target in targets]

    def _read(self, target: Target) -> Reading:
        held = self._held.get(target.container_id)
        if held is None or held.pid != target.pid:
            self._drop(target.container_id)
            held = self._held[target.container_id] = self._open(target)
        cpu, cpu_source = _pair(held.cpu)
        memory, memory_source = _pair(held.memory)
        cpu_usage = _parse(cpu, parse_cpu_stat if cpu_source is _CGROUP2 else parse_cpuacct_usage)
        memory_bytes = _parse(memory, parse_count)
        if memory_bytes is None:
            memory_bytes, memory_source = self._sum_resident(held), ReadingSource.PROCFS
        network = _parse(held.network, parse_net_dev)
        return Reading(
            container_id=target.container_id,
            recorded_at=self._clock.now(),
            cpu_usage_usec=cpu_usage,
            cpu_source=None if cpu_usage is None else cpu_source,
            memory_current_bytes=memory_bytes,
            memory_source=None if memory_bytes is None else memory_source,
            pids=_parse(_pair(held.pids)[0], parse_count),
            oom_kills=_parse(_pair(held.oom)[0], parse_oom_kills),
            network_received_bytes=network[0] if network else None,
            network_sent_bytes=network[1] if network else None,
        )

    def _sum_resident(self, held: _Held) -> int | None:
        """Resident bytes of all processes: what is left to count where memory has no controller."""
        data = _read_file(_pair(held.processes)[0])
        found = False
        pages = 0
        for word in (data or b"").split():
            try:
                count = parse_resident_pages((self._proc_dir / word.decode() / "statm").read_bytes())
            except OSError:
                continue
            if count is not None:
                found = True
                pages += count
        return pages * self._page_bytes if found else None

    def _open(self, target: Target) -> _Held:
        held = _Held(pid=target.pid)
        process = self._proc_dir / str(target.pid)
        try:
            cgroups = parse_cgroups((process / "cgroup").read_text())
        except OSError:
            return held
        if not any(target.container_id in path for path in cgroups.values()):
            return held

        def find(choices: Sequence[tuple[str, str, ReadingSource]]) -> tuple[int, ReadingSource] | None:
            for controller, name, source in choices:
                for folder in list_folders(controller, target.container_id, cgroups):
                    file = _open_file(self._cgroup_dir / folder / name)
                    if file is not None:
                        held.files.append(file)
                        return file, source
            return None

        held.cpu, held.memory, held.oom, held.pids = find(_CPU), find(_MEMORY), find(_OOM), find(_PIDS)
        if held.memory is None:
            held.processes = find((*_PROCESSES, ("cpuacct", "cgroup.procs", _CGROUP1)))
        held.network = _open_file(process / "net" / "dev")
        if held.network is not None:
            held.files.append(held.network)
        return held

    def _drop(self, container_id: str) -> None:
        held = self._held.pop(container_id, None)
        for file in held.files if held else ():
            os.close(file)


def _pair(opened: tuple[int, ReadingSource] | None) -> tuple[int | None, ReadingSource | None]:
    return opened or (None, None)


def _open_file(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _read_file(file: int | None) -> bytes | None:
    if file is None:
        return None
    try:
        return os.pread(file, _READ_BYTES, 0)
    except OSError:  # ENODEV: the cgroup is gone, the container having ended
        return None


def _parse(file: int | None, parse: Callable[[bytes], T | None]) -> T | None:
    data = _read_file(file)
    return parse(data) if data else None

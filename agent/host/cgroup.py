"""Reads what containers use from cgroup v2, v1 or both, netlink and procfs, on descriptors that stay open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.host.cgroup_files import HELD, MORE, PROCESSES, Choice
from agent.host.links import LinkCounters
from agent.model.metrics import DeviceIo, MemoryDetail, Reading, ReadingSource, Target
from agent.rules.cgroup_paths import list_folders, parse_cgroups
from agent.rules.cpu import CpuTimes
from agent.rules.memory import parse_resident_pages
from agent.rules.network import parse_net_dev
from kit.clock import Clock

T = TypeVar("T")

_READ_BYTES: Final = 16 * 1024
_MORE_SECONDS: Final = 15.0
"""So old may the kinds of memory be, whose file is the dearest of all, and what is known of a container's links.

All containers are looked at again together, since the kernel tells of all links at once.
"""


_NETLINK: Final = ReadingSource.NETLINK
_PROCFS: Final = ReadingSource.PROCFS


@dataclass(slots=True)
class _File:
    """An open file, what was read from it last and what that said; the same bytes are not parsed again."""

    name: str
    number: int
    choice: Choice
    data: bytes | None = None
    value: Any = None

    def take(self, data: bytes | None) -> None:
        """Parse what was read now; None when the file is gone."""
        self.data = data
        self.value = self.choice.parse(data) if data is not None else None


@dataclass(slots=True)
class _Held:
    """The open files of one run of a container; one that is not there is left out."""

    pid: int
    files: list[_File] = field(default_factory=list)
    sources: dict[str, ReadingSource] = field(default_factory=dict)
    processes: int | None = None
    network: int | None = None
    more: tuple[tuple[str, Path, Choice], ...] = ()
    links: tuple[int, ...] = ()
    memory: MemoryDetail = field(default_factory=MemoryDetail)
    more_due: float = 0.0

    def list_open(self) -> list[int]:
        """Every descriptor."""
        rest = [each for each in (self.processes, self.network) if each is not None]
        return [file.number for file in self.files] + rest


class CgroupReader:
    """Reads containers by their first process; `proc_dir` and `cgroup_dir` are where the kernel's trees are mounted.

    The files of a container are opened when it is first read, and closed by `keep`, by `drop`, or when it has another
    process: eight of a container, and one more where `links` does not know its network. Calls do not overlap.
    """

    def __init__(self, *, proc_dir: Path, cgroup_dir: Path, clock: Clock, links: LinkCounters | None = None) -> None:
        self._proc_dir = proc_dir
        self._cgroup_dir = cgroup_dir
        self._clock = clock
        self._links = links
        self._held: dict[str, _Held] = {}
        self._lock = asyncio.Lock()
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    @property
    def open_files(self) -> int:
        """How many descriptors are held for containers."""
        return sum(len(held.list_open()) for held in self._held.values())

    async def read(self, targets: Sequence[Target]) -> list[Reading]:
        """A reading of each container, in order."""
        async with self._lock:
            return await asyncio.to_thread(self.sweep, targets)

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
        if self._links is not None:
            self._links.close()

    def sweep(self, targets: Sequence[Target]) -> list[Reading]:
        """What `read` does, on the caller's own thread; it blocks for tens of microseconds a container."""
        now = self._clock.monotonic()
        for target in targets:
            held = self._held.get(target.container_id)
            if held is None or held.pid != target.pid:
                self._drop(target.container_id)
                self._held[target.container_id] = self._open(target)
        due = [held for target in targets if (held := self._held[target.container_id]).more_due <= now]
        if due:
            self._look_again(due, now)
        counters = self._links.read() if self._links is not None else None
        return [self._read(target.container_id, counters or {}) for target in targets]

    def _read(self, container_id: str, counters: Mapping[int, tuple[int, int]]) -> Reading:
        held = self._held[container_id]
        found: dict[str, Any] = {}
        for file in held.files:
            try:
                data = os.pread(file.number, _READ_BYTES, 0)  # not by _read_file: this is what a sweep does most
            except OSError:
                data = None
            if data != file.data:
                file.take(data)
            if file.value is not None:
                found[file.name] = file.value
        cpu: CpuTimes | None = found.get("cpu")
        io: tuple[DeviceIo, ...] | None = found.get("io")
        memory, memory_source = found.get("memory"), held.sources.get("memory")
        if memory is None:
            memory, memory_source = self._sum_resident(held), _PROCFS
        elif memory > (held.memory.peak_bytes or 0):
            held.memory = _read_more(held)  # it has grown past what is known of it
        network, network_source = _sum_links(held.links, counters), _NETLINK
        if network is None:
            network, network_source = self._read_net_dev(held), _PROCFS
        return Reading(
            container_id=container_id,
            recorded_at=self._clock.now(),
            cpu_usage_usec=cpu.usage_usec if cpu else None,
            cpu_user_usec=cpu.user_usec if cpu else None,
            cpu_system_usec=cpu.system_usec if cpu else None,
            cpu_throttled_usec=found.get("throttled")
            if cpu is None or cpu.throttled_usec is None
            else cpu.throttled_usec,
            cpu_source=held.sources["cpu"] if cpu else None,
            memory_current_bytes=memory,
            memory_source=memory_source if memory is not None else None,
            memory=held.memory if found else MemoryDetail(),
            pids=found.get("pids"),
            oom_kills=found.get("oom"),
            io=io,
            io_source=held.sources["io"] if io is not None else None,
            cpu_pressure_usec=found.get("cpu_pressure"),
            memory_pressure_usec=found.get("memory_pressure"),
            io_pressure_usec=found.get("io_pressure"),
            network_received_bytes=network[0] if network else None,
            network_sent_bytes=network[1] if network else None,
            network_source=network_source if network else None,
        )

    def _read_net_dev(self, held: _Held) -> tuple[int, int] | None:
        if held.network is None and held.files:
            held.network = _open_file(self._proc_dir / str(held.pid) / "net" / "dev")
        data = _read_file(held.network)
        return parse_net_dev(data) if data else None

    def _sum_resident(self, held: _Held) -> int | None:
        """Resident bytes of all processes: what is left to count where memory has no controller."""
        data = _read_file(held.processes)
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

    def _look_again(self, due: Sequence[_Held], now: float) -> None:
        for held in due:
            held.more_due = (now // _MORE_SECONDS + 1) * _MORE_SECONDS
            held.memory = _read_more(held)
        if self._links is not None:
            found = self._links.find([held.pid for held in due if held.files])
            for held in due:
                held.links = found.get(held.pid, ())

    def _open(self, target: Target) -> _Held:
        held = _Held(pid=target.pid)
        try:
            cgroups = parse_cgroups((self._proc_dir / str(target.pid) / "cgroup").read_text())
        except OSError:
            return held
        if not any(target.container_id in path for path in cgroups.values()):
            return held

        def find(choices: Sequence[Choice], open_: Callable[[Path], T | None]) -> tuple[T, Choice] | None:
            for choice in choices:
                for folder in list_folders(choice.controller, target.container_id, cgroups):
                    found = open_(self._cgroup_dir / folder / choice.file)
                    if found is not None:
                        return found, choice
            return None

        for name, choices in HELD.items():
            opened = find(choices, _open_file)
            if opened is not None:
                held.files.append(_File(name, *opened))
                held.sources[name] = opened[1].source
        if "memory" not in held.sources:
            processes = find(PROCESSES, _open_file)
            held.processes = processes[0] if processes else None
        more = ((name, find(choices, _existing)) for name, choices in MORE.items())
        held.more = tuple((name, *found) for name, found in more if found is not None)
        return held

    def _drop(self, container_id: str) -> None:
        held = self._held.pop(container_id, None)
        for file in held.list_open() if held else ():
            os.close(file)


def _sum_links(links: Sequence[int], counters: Mapping[int, tuple[int, int]]) -> tuple[int, int] | None:
    """Bytes that the container received and sent: what its links on this side sent and received."""
    if len(links) == 1:
        counted = counters.get(links[0])
        return None if counted is None else (counted[1], counted[0])
    found = [counters[link] for link in links if link in counters]
    if not found or len(found) != len(links):
        return None
    return sum(sent for _, sent in found), sum(received for received, _ in found)


def _read_more(held: _Held) -> MemoryDetail:
    found: dict[str, Any] = {}
    for name, path, choice in held.more:
        file = _open_file(path)
        if file is None:
            continue
        data = _read_file(file)
        os.close(file)
        if data is None:
            continue
        value = choice.parse(data)
        found.update(value if isinstance(value, dict) else {name: value})
    return MemoryDetail(
        peak_bytes=found.get("peak"),
        limit_bytes=found.get("limit"),
        anon_bytes=found.get("anon"),
        file_bytes=found.get("file"),
        kernel_bytes=found.get("kernel"),
        swap_bytes=found.get("swap"),
    )


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


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

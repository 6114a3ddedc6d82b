"""Reads numbers of the machine itself."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from agent.core.faults import HostUnreadable
from agent.rules.host import parse_loadavg, parse_meminfo, parse_stat
from kit.clock import Clock
from wire.link import HostReport


class HostReader:
    """Reads procfs at `proc_dir`, and the free space of the file system that holds `disk_path`."""

    def __init__(self, *, proc_dir: Path, disk_path: Path, clock: Clock) -> None:
        self._proc_dir = proc_dir
        self._disk_path = disk_path
        self._clock = clock

    async def read(self) -> HostReport:
        """The numbers now; raises HostUnreadable."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> HostReport:
        try:
            cpu = parse_stat((self._proc_dir / "stat").read_text())
            total, available = parse_meminfo((self._proc_dir / "meminfo").read_text())
            load_1m, load_5m, load_15m = parse_loadavg((self._proc_dir / "loadavg").read_text())
            disk = os.statvfs(self._disk_path)
        except (OSError, ValueError) as error:
            raise HostUnreadable(f"cannot read the numbers of this machine: {error}") from error
        return HostReport(
            cpu_user_jiffies=cpu.user,
            cpu_nice_jiffies=cpu.nice,
            cpu_system_jiffies=cpu.system,
            cpu_idle_jiffies=cpu.idle,
            cpu_iowait_jiffies=cpu.iowait,
            cpu_count=cpu.count,
            memory_total_bytes=total,
            memory_available_bytes=available,
            load_1m=load_1m,
            load_5m=load_5m,
            load_15m=load_15m,
            disk_total_bytes=disk.f_blocks * disk.f_frsize,
            disk_available_bytes=disk.f_bavail * disk.f_frsize,
            recorded_at=self._clock.now(),
        )

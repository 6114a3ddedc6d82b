"""Reads counters of the machine for whoever scrapes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from agent.model.machine import MachineCounters
from agent.rules.machine import parse_diskstats, parse_interfaces, parse_machine_pressure

_RESOURCES: Final = ("cpu", "memory", "io")


class MachineReader:
    """Reads procfs at `proc_dir`; a file that is missing, as pressure is on many kernels, leaves its part out."""

    def __init__(self, proc_dir: Path) -> None:
        self._proc_dir = proc_dir

    async def read(self) -> MachineCounters:
        """The counters now."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> MachineCounters:
        pressures = [parse_machine_pressure(name, self._text("pressure", name)) for name in _RESOURCES]
        return MachineCounters(
            pressure=tuple(each for each in pressures if each is not None),
            disks=parse_diskstats(self._text("diskstats")),
            interfaces=parse_interfaces(self._text("net", "dev")),
        )

    def _text(self, *parts: str) -> str:
        try:
            return self._proc_dir.joinpath(*parts).read_text()
        except OSError:
            return ""

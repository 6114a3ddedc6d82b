"""Consoles that run, one small file for each."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from agent.model.consoles import ConsoleRecord
from kit.files import replace_file

_log = logging.getLogger(__name__)

_ENDING = ".json"


class ConsoleFiles:
    """Records in a folder; what cannot be read there is passed over and dropped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def write(self, record: ConsoleRecord) -> None:
        """Keep it for good."""
        await asyncio.to_thread(self._write, record)

    async def remove(self, console_id: str) -> None:
        """Forget it; no error when it is not there."""
        path = self._folder / (console_id + _ENDING)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    def _write(self, record: ConsoleRecord) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder / (record.console_id + _ENDING), msgspec.json.encode(record))

    async def list(self) -> list[ConsoleRecord]:
        """All that are kept."""
        return await asyncio.to_thread(_read_all, self._folder)


def _read_all(folder: Path) -> list[ConsoleRecord]:
    found = []
    for path in sorted(folder.glob(f"*{_ENDING}")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=ConsoleRecord))
        except msgspec.MsgspecError as error:
            _log.warning("record of a console cannot be read", extra={"file": str(path), "reason": str(error)})
            path.unlink(missing_ok=True)
    return found

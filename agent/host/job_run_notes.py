"""What is written down of attempts of jobs' runs: a small file for each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.core.faults import NoteNotWritten
from agent.model.job_run import Note
from kit.files import replace_file

_log = logging.getLogger(__name__)

_SUFFIX: Final = ".json"


class DiskNotes:
    """Notes in a folder, by the attempt's key; what `write` returned for is there after a power cut."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read_all(self) -> Mapping[str, Note]:
        """Every note; one that cannot be read counts as begun, since nothing may be started twice."""
        return await asyncio.to_thread(self._read_all)

    async def write(self, key: str, note: Note) -> None:
        """Keep the note; raises NoteNotWritten."""
        await asyncio.to_thread(self._write, key, msgspec.json.encode(note))

    async def remove(self, key: str) -> None:
        """Forget the note; no error when there is none."""
        await asyncio.to_thread((self._folder / f"{key}{_SUFFIX}").unlink, missing_ok=True)

    def _read_all(self) -> dict[str, Note]:
        notes: dict[str, Note] = {}
        for path in sorted(self._folder.glob(f"[!.]*{_SUFFIX}")):
            try:
                notes[path.name.removesuffix(_SUFFIX)] = msgspec.json.decode(path.read_bytes(), type=Note)
            except (OSError, msgspec.MsgspecError) as error:
                _log.error("note of a job's run not read", extra={"path": str(path), "error": str(error)})
                notes[path.name.removesuffix(_SUFFIX)] = Note(begun=True)
        return notes

    def _write(self, key: str, data: bytes) -> None:
        path = self._folder / f"{key}{_SUFFIX}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, data)
        except OSError as error:
            raise NoteNotWritten(f"cannot go on with a job's run: its note {path} is not written: {error}") from error

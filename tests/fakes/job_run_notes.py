"""Notes of jobs' runs in memory."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.faults import NoteNotWritten
from agent.model.job_run import Note


class FakeNotes:
    """Holds what was written; `full` refuses writes, as a disk may."""

    def __init__(self) -> None:
        self.held: dict[str, Note] = {}
        self.full = False

    async def read_all(self) -> Mapping[str, Note]:
        return dict(self.held)

    async def write(self, key: str, note: Note) -> None:
        if self.full:
            raise NoteNotWritten("cannot write the note: the disk is full")
        self.held[key] = note

    async def remove(self, key: str) -> None:
        self.held.pop(key, None)

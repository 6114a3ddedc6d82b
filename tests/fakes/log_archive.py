"""An archive of logs in memory, whose disk may be full."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from agent.core.faults import ArchiveFull
from agent.model.log_archive import ArchivedLog
from agent.model.logs import Entry

LINE_BYTES = 100
"""What each line takes."""


class FakeLogArchive:
    """Fulfils `agent.core.ports_logs.LogArchiveFiles`; `room_bytes` is what fits, `reads` counts the logs opened."""

    def __init__(self, *, room_bytes: int = 1 << 40) -> None:
        self.room_bytes = room_bytes
        self.reads = 0
        self.held: dict[ArchivedLog, list[Entry]] = {}

    def list_all(self) -> tuple[ArchivedLog, ...]:
        return tuple(sorted(self.held, key=lambda log: log.kept_usec))

    def list_of(self, subject: str) -> tuple[ArchivedLog, ...]:
        return tuple(log for log in self.list_all() if log.subject == subject)

    async def begin(self, *, subject: str, container: str, replica_id: str, replica_index: int | None) -> _FakeDraft:
        return _FakeDraft(
            self, subject=subject, container=container, replica_id=replica_id, replica_index=replica_index
        )

    async def read(self, log: ArchivedLog, *, from_usec: int) -> AsyncGenerator[Sequence[Entry]]:
        self.reads += 1
        if log in self.held:
            yield tuple(self.held[log])

    async def read_tail(self, log: ArchivedLog, count: int) -> Sequence[Entry]:
        self.reads += 1
        entries = self.held.get(log, [])
        return entries[max(0, len(entries) - count) :]

    async def remove(self, log: ArchivedLog) -> None:
        self.held.pop(log, None)

    def check_room(self, size_bytes: int) -> None:
        """Raise ArchiveFull where so much more does not fit."""
        if size_bytes + sum(log.size_bytes for log in self.held) > self.room_bytes:
            raise ArchiveFull("cannot archive a log: there is no room for it")


class _FakeDraft:
    def __init__(
        self,
        archive: FakeLogArchive,
        *,
        subject: str,
        container: str,
        replica_id: str,
        replica_index: int | None,
    ) -> None:
        self._archive = archive
        self._subject = subject
        self._container = container
        self._replica_id = replica_id
        self._replica_index = replica_index
        self._entries: list[Entry] = []

    async def add(self, entries: Sequence[Entry]) -> None:
        self._archive.check_room((len(self._entries) + len(entries)) * LINE_BYTES)
        self._entries += entries

    async def commit(self, *, kept_usec: int) -> ArchivedLog:
        stamps = [entry.usec for entry in self._entries]
        log = ArchivedLog(
            subject=self._subject,
            container=self._container,
            replica_id=self._replica_id,
            replica_index=self._replica_index,
            first_usec=min(stamps),
            last_usec=max(stamps),
            kept_usec=max(kept_usec, max(stamps) + 1),
            size_bytes=len(self._entries) * LINE_BYTES,
        )
        for earlier in self._archive.list_of(self._subject):
            if earlier.container == self._container:
                await self._archive.remove(earlier)
        self._archive.held[log] = self._entries
        return log

    async def close(self) -> None:
        pass

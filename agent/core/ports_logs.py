"""What the core needs from outside to keep logs of containers that are gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from agent.model.log_archive import ArchivedLog
from agent.model.logs import Entry


class LogDraft(Protocol):
    """An archived log that is being written: whole once it is committed, and nothing before.

    Calls raise ArchiveFull where the disk has no room, after which they may be made again, and ArchiveNotWritten.
    """

    async def add(self, entries: Sequence[Entry]) -> None:
        """Append the entries, all or none."""
        ...

    async def commit(self, *, kept_usec: int) -> ArchivedLog:
        """Keep it for good in place of an earlier one of the container; `kept_usec` moves up to what it promises."""
        ...

    async def close(self) -> None:
        """End the writing; what was not committed is gone."""
        ...


class LogArchiveFiles(Protocol):
    """Archived logs on disk; which there are is known from memory."""

    def list_all(self) -> tuple[ArchivedLog, ...]:
        """Every archived log, the earliest kept first."""
        ...

    def list_of(self, subject: str) -> tuple[ArchivedLog, ...]:
        """Those of one service, the earliest kept first."""
        ...

    async def begin(self, *, subject: str, container: str, replica_id: str, replica_index: int | None) -> LogDraft:
        """Begin to write one; raises ArchiveFull and ArchiveNotWritten."""
        ...

    def read(self, log: ArchivedLog, *, from_usec: int) -> AsyncGenerator[Sequence[Entry]]:
        """Its entries in the log's order, but for some or all of those stamped earlier; none when it is gone."""
        ...

    async def read_tail(self, log: ArchivedLog, count: int) -> Sequence[Entry]:
        """The last `count` entries, or fewer where it has no more; none when it is gone."""
        ...

    async def remove(self, log: ArchivedLog) -> None:
        """Let it go; no error when it is gone, or when the disk refuses, which the agent's log tells."""
        ...

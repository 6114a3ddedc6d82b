"""Keeps the logs of containers that the agent removes, for a time and up to a size."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, TypeVar

from agent.core.faults import ArchiveFull, ContainerGone
from agent.core.log_batch import measure
from agent.core.log_reader import LogReader, Source, make_source
from agent.core.ports import Engine
from agent.core.ports_logs import LogArchiveFiles, LogDraft
from agent.model import labels
from agent.model.engine import EPOCH, Container, EngineEvent, EventKind
from agent.model.log_archive import ArchivedLog
from agent.model.logs import Entry
from agent.rules.log_archive import choose_surplus
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

T = TypeVar("T")

FRAME_BYTES: Final = 256 * 1024
"""So much of a log is packed together: what is unpacked to read one line of it."""
KEEP_SECONDS: Final = 60.0
"""A removal waits for its log no longer."""
SETTLE_SECONDS: Final = 60.0
"""So long after it was archived a log is new to whoever does not know it: by then all who read have heard of it."""

_AT_ONCE: Final = 4
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class LogArchive:
    """Archives logs ahead of removals; the oldest go past `most_seconds`, beyond the sizes, and where the disk is full.

    Nothing that it does ever fails a removal: what is not kept is counted and told in the agent's log.
    """

    def __init__(
        self,
        engine: Engine,
        files: LogArchiveFiles,
        *,
        clock: Clock,
        most_seconds: float,
        service_bytes: int,
        total_bytes: int,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        self._engine = engine
        self._reader = LogReader(engine)
        self._files = files
        self._clock = clock
        self._most_seconds = most_seconds
        self._service_bytes = service_bytes
        self._total_bytes = total_bytes
        self._keep_seconds = keep_seconds
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._removed: set[str] = set()
        """Ids of the containers whose removal went through here."""
        self._dropped = 0

    @property
    def files(self) -> int:
        """How many logs are archived."""
        return len(self._files.list_all())

    @property
    def size_bytes(self) -> int:
        """What they take on disk."""
        return sum(log.size_bytes for log in self._files.list_all())

    @property
    def dropped(self) -> int:
        """Logs of removed containers that were lost since the start, and archived ones that gave way to a full disk."""
        return self._dropped

    async def keep(self, container_id: str) -> None:
        """Archive what the container of a service has written; returns when it is on disk, or was not to be had."""
        self._removed.add(container_id)
        try:
            async with asyncio.timeout(self._keep_seconds), self._slots:
                container = await self._find(container_id)
                if container is not None:
                    await self._keep(container)
                    await self.sweep()
        except ContainerGone:
            self._lose(container_id, "the container was removed meanwhile")
        except TimeoutError:
            self._lose(container_id, f"it could not be read and written within {self._keep_seconds:g} s")
        except Fault as fault:
            self._lose(container_id, fault.message)
        except Exception:  # noqa: BLE001 - a bug here must not keep a container from being removed; the log has it
            _log.exception("log not archived", extra={"container": container_id[:12]})
            self._lose(container_id, "the agent met an error of its own")

    async def sweep(self) -> None:
        """Let go what is too old or too much."""
        before = self._clock.now() - dt.timedelta(seconds=self._most_seconds)
        surplus = choose_surplus(
            self._files.list_all(),
            before_usec=(before - EPOCH) // _MICROSECOND,
            subject_bytes=self._service_bytes,
            total_bytes=self._total_bytes,
        )
        for log in surplus:
            await self._files.remove(log)

    def note_event(self, event: EngineEvent) -> None:
        """Take an engine event: a container that somebody else removed takes its log with it, which is told."""
        if event.kind is not EventKind.CONTAINER_DESTROYED or event.container_id is None:
            return
        if event.container_id in self._removed:
            self._removed.discard(event.container_id)
        elif dict(event.labels).get(labels.SERVICE):
            self._lose(event.container_id, "somebody else removed the container")

    async def _find(self, container_id: str) -> Container | None:
        for container in await self._engine.list_containers():
            if container.id == container_id and container.label(labels.SERVICE):
                return container
        return None

    async def _keep(self, container: Container) -> None:
        source, draft = make_source(container), None
        try:
            async with aclosing(_read_frames(self._reader.read_behind(source, None))) as frames:
                async for entries in frames:
                    if draft is None:
                        draft = await self._with_room(lambda: self._begin(source))
                    await self._add(draft, entries)
            if draft is not None:
                await self._commit(draft)
        finally:
            if draft is not None:
                await draft.close()

    async def _begin(self, source: Source) -> LogDraft:
        return await self._files.begin(
            subject=source.subject,
            container=source.key,
            replica_id=source.replica_id,
            replica_index=source.replica_index,
        )

    async def _add(self, draft: LogDraft, entries: list[Entry]) -> None:
        await self._with_room(lambda: draft.add(entries))

    async def _commit(self, draft: LogDraft) -> ArchivedLog:
        settled = self._clock.now() + dt.timedelta(seconds=SETTLE_SECONDS)
        kept_usec = (settled - EPOCH) // _MICROSECOND
        return await self._with_room(lambda: draft.commit(kept_usec=kept_usec))

    async def _with_room(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the work returns; where the disk is full, the oldest logs give way to it."""
        while True:
            try:
                return await work()
            except ArchiveFull as full:
                logs = self._files.list_all()
                if not logs:
                    raise
                self._dropped += 1
                _log.warning(
                    "archived log given up for a newer one",
                    extra={"service": logs[0].subject, "container": logs[0].container, "fault": full.message},
                )
                await self._files.remove(logs[0])

    def _lose(self, container_id: str, why: str) -> None:
        self._dropped += 1
        _log.warning("log of a removed container is lost", extra={"container": container_id[:12], "reason": why})


async def _read_frames(batches: AsyncGenerator[Sequence[Entry]]) -> AsyncGenerator[list[Entry]]:
    frame: list[Entry] = []
    size = 0
    async with aclosing(batches):
        async for entries in batches:
            frame += entries
            size += measure(entries)
            if size >= FRAME_BYTES:
                yield frame
                frame, size = [], 0
    if frame:
        yield frame

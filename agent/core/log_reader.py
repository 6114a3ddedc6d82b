"""Reads containers' logs from the engine as numbered entries, and merges those of several containers by time."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Final

from agent.core.faults import ContainerGone
from agent.core.ports import Engine
from agent.core.ports_logs import LogArchiveFiles
from agent.model import labels
from agent.model.engine import EPOCH, Container, ContainerState, LoggedLine
from agent.model.log_archive import ArchivedLog
from agent.model.logs import Entry, Position
from agent.rules.log_archive import name_read, pick_unread
from agent.rules.log_cursor import Numbering, Resume

_SPARE: Final = 64
"""So many lines more than wanted are read from the end of a log, since a cut may fall between lines of one stamp."""
_TOGETHER: Final = 256
"""So many merged entries travel together."""
START: Final = Position(usec=0, nth=-1)
"""Ahead of every line."""
_ALIVE: Final = {ContainerState.RUNNING, ContainerState.PAUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A container whose log is read, from the engine or from the archive."""

    container_id: str
    key: str
    """The first 8 characters of its id."""
    replica_id: str
    replica_index: int | None
    subject: str
    is_alive: bool
    archived: ArchivedLog | None = None
    """Where its log is since it was removed; None while the engine has it."""


def make_source(container: Container) -> Source:
    """The container as a source of lines."""
    index = container.label(labels.INDEX)
    return Source(
        container_id=container.id,
        key=container.id[:8],
        replica_id=container.label(labels.REPLICA) or "",
        replica_index=None if index is None or not index.isdecimal() else int(index),
        subject=find_subject(dict(container.labels)),
        is_alive=container.state in _ALIVE,
    )


def find_subject(labels_: Mapping[str, str]) -> str:
    """Whose log the container with these labels writes: the service's id or the key of a job's attempt."""
    return labels_.get(labels.SERVICE) or labels_.get(labels.JOB_RUN, "")


def list_logs(sources: Iterable[Source]) -> list[ArchivedLog]:
    """The archived logs among the sources."""
    return [source.archived for source in sources if source.archived is not None]


def pick_sources(sources: Sequence[Source], positions: Mapping[str, Position]) -> list[Source]:
    """Those of which a reader who stands at the positions may lack lines, or may come to."""
    unread = {log.container for log in pick_unread(list_logs(sources), positions)}
    return [source for source in sources if source.archived is None or source.key in unread]


def begin_at(sources: Sequence[Source], usec: int, positions: dict[str, Position]) -> list[Source]:
    """Those that may have lines stamped then or later; the positions then say that earlier ones are not wanted."""
    begun: list[Source] = []
    for source in sources:
        log = source.archived
        if log is None or log.last_usec >= usec:
            begun.append(source)
            if log is None or log.first_usec < usec:
                positions[source.key] = Position(usec=usec, nth=-1)
    name_read(list_logs(source for source in sources if source not in begun), positions)
    return begun


async def read_tails(
    sources: Sequence[Source], count: int, read: Callable[[Source], Awaitable[list[Entry]]]
) -> list[tuple[Source, list[Entry]]]:
    """What `read` finds of each source; archived logs that end ahead of the last `count` entries are not read."""
    found = [(source, await read(source)) for source in sources if source.archived is None]
    stamps = sorted(entry.usec for _, entries in found for entry in entries)[-count:]
    archived = sorted(list_logs(sources), key=lambda log: log.last_usec, reverse=True)
    by_key = {source.key: source for source in sources}
    for log in archived:
        if len(stamps) >= count and (not count or log.last_usec < stamps[0]):
            break
        source = by_key[log.container]
        entries = await read(source)
        stamps = sorted([*stamps, *(entry.usec for entry in entries)])[-count:]
        found.append((source, entries))
    return found


class LogReader:
    """Reads logs of the engine's containers, and of those that it has no more from the archive."""

    def __init__(self, engine: Engine, archive: LogArchiveFiles | None = None) -> None:
        self._engine = engine
        self._archive = archive

    async def list_sources(self, subject: str) -> tuple[Source, ...]:
        """The containers of a service, by its id, or of a job's attempt, by its key; running or not, or archived."""
        containers = await self._engine.list_containers()
        present = [source for each in containers if (source := make_source(each)).subject == subject]
        keys = {source.key for source in present}
        return (*present, *(_make_archived(log) for log in self._list_archived(subject) if log.container not in keys))

    async def read_behind(
        self, source: Source, position: Position | None, *, follow: bool = False
    ) -> AsyncGenerator[Sequence[Entry]]:
        """The entries behind the position in batches, from the log's start where it is None; ContainerGone when it
        goes.

        With `follow` up to the last one that the container writes, though it is removed meanwhile.
        """
        stands = position
        # An engine may end a stream that is followed ahead of the last lines: what is left of them is asked for.
        for follows in (True, False) if follow else (False,):
            archived = source.archived
            if archived is None:
                try:
                    async with aclosing(self._read_engine(source, stands, follow=follows)) as batches:
                        async for batch in batches:
                            stands = batch[-1].position
                            yield batch
                    continue
                except ContainerGone:
                    archived = self._find_archived(source)
                    if archived is None:
                        raise
            async with aclosing(self._read_archived(archived, stands)) as batches:
                async for batch in batches:
                    yield batch
            return

    async def _read_engine(
        self, source: Source, position: Position | None, *, follow: bool
    ) -> AsyncGenerator[Sequence[Entry]]:
        resume = None if position is None else Resume(position)
        since = None if resume is None else EPOCH + dt.timedelta(microseconds=resume.start_usec)
        numbering = Numbering()
        async with aclosing(self._engine.read_log(source.container_id, tail=None, since=since, follow=follow)) as log:
            async for lines in log:
                entries = _number(source, lines, numbering)
                if resume is not None:
                    if not resume.is_found:
                        entries = [known for entry in entries for known in resume.take(entry)]
                    if resume.is_found:
                        resume = None
                if entries:
                    yield entries
        if resume is not None and (entries := resume.finish()):
            yield entries

    async def _read_archived(self, log: ArchivedLog, position: Position | None) -> AsyncGenerator[Sequence[Entry]]:
        assert self._archive is not None
        resume = None if position is None else Resume(position)
        from_usec = 0 if resume is None else resume.start_usec
        async with aclosing(self._archive.read(log, from_usec=from_usec)) as frames:
            async for frame in frames:
                entries = list(frame)
                if resume is not None:
                    entries = [known for each in frame if each.usec >= from_usec for known in resume.take(each)]
                if entries:
                    yield entries
        if resume is not None and (entries := resume.finish()):
            yield entries

    def _list_archived(self, subject: str) -> Sequence[ArchivedLog]:
        return () if self._archive is None else self._archive.list_of(subject)

    def _find_archived(self, source: Source) -> ArchivedLog | None:
        return next((log for log in self._list_archived(source.subject) if log.container == source.key), None)

    async def read_tail(self, source: Source, count: int) -> list[Entry]:
        """The last `count` entries and the one ahead of them, as far as there are any."""
        archived = source.archived
        if archived is None:
            try:
                return await self._read_engine_tail(source, count)
            except ContainerGone:
                archived = self._find_archived(source)
        if archived is None:
            return []
        assert self._archive is not None
        return list(await self._archive.read_tail(archived, count + 1))

    async def _read_engine_tail(self, source: Source, count: int) -> list[Entry]:
        wanted = count + _SPARE
        numbering = Numbering()
        first_usec, read, kept = 0, 0, deque[Entry](maxlen=count + 1)
        async with aclosing(self._engine.read_log(source.container_id, tail=wanted, since=None, follow=False)) as log:
            async for lines in log:
                read += len(lines)
                entries = _number(source, lines, numbering)
                first_usec = first_usec or entries[0].usec
                kept.extend(entries)
        # Lines ahead of the cut may have the stamp of those behind it, which are then numbered too low.
        while read >= wanted and len(kept) > 1 and kept[0].usec == first_usec:
            kept.popleft()
        return list(kept)

    async def read_merged(
        self, sources: Sequence[Source], positions: Mapping[str, Position]
    ) -> AsyncGenerator[Sequence[Entry]]:
        """The entries behind each source's position, merged by time, in batches; each log's own order is kept."""
        async with AsyncExitStack() as stack:
            streams: list[AsyncGenerator[Sequence[Entry]]] = []
            for source in sources:
                streams.append(self.read_behind(source, positions.get(source.key)))
                await stack.enter_async_context(aclosing(streams[-1]))
            heads: list[tuple[int, int, Sequence[Entry], int]] = []
            for number, source in enumerate(sources):
                if source.archived is not None:
                    # It is opened when the merge gets there, however many there are.
                    heads.append((source.archived.first_usec, number, [], 0))
                elif batch := await _next(streams[number]):
                    heads.append((batch[0].usec, number, list(batch) if len(sources) > 1 else batch, 0))
            heapq.heapify(heads)
            merged: list[Entry] = []
            while len(heads) > 1:
                _, number, batch, at = heads[0]
                if batch:
                    merged.append(batch[at])
                    at += 1
                if at < len(batch):
                    heapq.heapreplace(heads, (batch[at].usec, number, batch, at))
                elif following := await _next(streams[number]):
                    heapq.heapreplace(heads, (following[0].usec, number, list(following), 0))
                else:
                    heapq.heappop(heads)
                if len(merged) >= _TOGETHER:
                    yield merged
                    merged = []
            if merged:
                yield merged
            for _, number, batch, at in heads:
                if batch:
                    yield batch[at:] if at else batch
                while following := await _next(streams[number]):
                    yield following


def _make_archived(log: ArchivedLog) -> Source:
    return Source(
        container_id=log.container,
        key=log.container,
        replica_id=log.replica_id,
        replica_index=log.replica_index,
        subject=log.subject,
        is_alive=False,
        archived=log,
    )


def _number(source: Source, lines: Sequence[LoggedLine], numbering: Numbering) -> Sequence[Entry]:
    return numbering.number(
        lines, container=source.key, replica_id=source.replica_id, replica_index=source.replica_index
    )


async def _next(stream: AsyncGenerator[Sequence[Entry]]) -> Sequence[Entry] | None:
    try:
        return await anext(stream, None)
    except ContainerGone:
        return None

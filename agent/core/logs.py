"""Logs of replicas and of jobs' runs: what the engine still has of them, and what they write while somebody watches."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from operator import attrgetter
from typing import Final

from agent.core.faults import BadCursor, ContainerGone
from agent.core.log_batch import LogBatch, make_place, narrow
from agent.core.log_reader import LogReader, Source, begin_at, find_subject, list_logs, pick_sources, read_tails
from agent.core.log_session import LogSession, gather
from agent.core.ports import Engine
from agent.core.ports_logs import LogArchiveFiles
from agent.model.engine import EPOCH, EngineEvent, EventKind
from agent.model.logs import Entry, Position
from agent.rules.log_archive import name_read
from agent.rules.log_cursor import parse_cursor
from agent.rules.log_filter import LogFilter
from kit.clock import Clock
from kit.tasks import Tasks
from wire.agent.logs import LogQuery

DEFAULT_TAIL: Final = 200
VIEWER_BYTES: Final = 1024 * 1024

_PLACE_SECONDS: Final = 1.0
"""So often whoever asked for few lines of many hears how far they were read."""


class Logs:
    """Reads logs by service or run. However many watch one, each of its containers has one follower, and none after the
    last has left. A viewer who reads too slowly is told how many lines it misses, and slows nobody.

    `tasks` owns the followers; `note_event` has to hear the engine's events.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        archive: LogArchiveFiles | None = None,
        tasks: Tasks,
        clock: Clock,
        viewer_bytes: int = VIEWER_BYTES,
    ) -> None:
        self._reader = LogReader(engine, archive)
        self._tasks = tasks
        self._clock = clock
        self._viewer_bytes = viewer_bytes
        self._sessions: dict[str, LogSession] = {}

    @property
    def viewers(self) -> int:
        """How many watch a live log."""
        return sum(session.viewers for session in self._sessions.values())

    @property
    def followers(self) -> int:
        """How many containers are being followed."""
        return sum(session.followers for session in self._sessions.values())

    def note_event(self, event: EngineEvent) -> None:
        """Something happened in the engine: containers that start join the streams of their service."""
        if event.kind is EventKind.RESYNC:
            for session in self._sessions.values():
                session.refresh()
            return
        watched = self._sessions.get(find_subject(dict(event.labels)))
        if watched is not None and event.kind in {EventKind.CONTAINER_STARTED, EventKind.CONTAINER_DESTROYED}:
            watched.refresh()

    def check(self, query: LogQuery) -> None:
        """Raise BadCursor or Invalid when the query cannot be answered; anything else shows once it is read."""
        _parse(query.after)
        LogFilter(query)

    async def read(self, query: LogQuery) -> AsyncGenerator[LogBatch]:
        """The records that are asked for, in batches; with `follow` until the iterator is closed.

        It raises BadCursor and Invalid, and EngineUnavailable when the engine does not answer.
        """
        wanted = LogFilter(query)
        async with aclosing(self._read(query, wanted)) as batches:
            if not query.is_narrowed:
                async for batch in batches:
                    yield batch
                return
            told_at = self._clock.monotonic()
            async for batch in batches:
                now = self._clock.monotonic()
                kept = narrow(batch, wanted)
                if kept is None and now - told_at >= _PLACE_SECONDS:
                    kept = make_place(batch)
                if kept is not None:
                    told_at = now
                    yield kept

    async def _read(self, query: LogQuery, wanted: LogFilter) -> AsyncGenerator[LogBatch]:
        """The records of the replicas that are asked for, and from then on of all that come."""
        positions = _parse(query.after)
        present = await self._reader.list_sources(query.job_run or query.service_id)
        sources = [source for source in present if wanted.picks(source.replica_id, source.replica_index)]
        if query.after is None:
            backlog = self._read_asked(sources, query, wanted=wanted, positions=positions)
        else:
            sources = pick_sources(sources, positions)
            for key in positions.keys() - {source.key for source in present}:
                del positions[key]
            backlog = self._reader.read_merged(sources, positions)
        # What is not asked for needs not be read to be passed over.
        now = Position(usec=(self._clock.now() - EPOCH) // dt.timedelta(microseconds=1), nth=-1)
        for source in present:
            if source not in sources and source.archived is None:
                positions.setdefault(source.key, now)
        async with aclosing(_read_to_end(backlog, wanted)) as entries:
            async for batch in gather(entries, positions, archived=list_logs(sources)):
                yield batch
        if query.follow:
            async with aclosing(self._watch(query, positions, wanted)) as batches:
                async for batch in batches:
                    yield batch

    async def _read_asked(
        self, sources: Sequence[Source], query: LogQuery, *, wanted: LogFilter, positions: dict[str, Position]
    ) -> AsyncGenerator[Sequence[Entry]]:
        """What `since` and `tail` ask for; `positions` then says where the reader of each log stands ahead of it."""
        since_usec = None if query.since is None else max(0, (query.since - EPOCH) // dt.timedelta(microseconds=1))
        if since_usec is not None:
            sources = begin_at(sources, since_usec, positions)
            if query.tail is None:
                async with aclosing(self._reader.read_merged(sources, dict(positions))) as entries:
                    async for each in entries:
                        yield each
                return
        count = DEFAULT_TAIL if query.tail is None else query.tail
        found = await read_tails(
            sources,
            count,
            lambda source: self._read_tail(source, count, wanted=wanted, position=positions.get(source.key)),
        )
        lists = [[entry for entry in each if entry.usec >= (since_usec or 0)] for _, each in found]
        merged = list(heapq.merge(*lists, key=attrgetter("usec")))
        last = merged[max(0, len(merged) - count) :]
        taken = Counter(entry.container for entry in last)
        for (source, _), entries_read in zip(found, lists, strict=True):
            if len(entries_read) > taken[source.key] and (source.archived is None or taken[source.key]):
                positions[source.key] = entries_read[-taken[source.key] - 1].position
        passed = list_logs(source for source in sources if not taken[source.key])
        name_read(passed, positions, newest_usec=last[0].usec if last else 0)
        if last:
            yield last

    async def _read_tail(
        self, source: Source, count: int, *, wanted: LogFilter, position: Position | None
    ) -> list[Entry]:
        """The last `count` entries of those that are asked for, and the one ahead of them."""
        if not wanted.is_selective:
            return await self._reader.read_tail(source, count)
        kept = deque[Entry](maxlen=count + 1)
        with suppress(ContainerGone):
            async with aclosing(_read_to_end(self._reader.read_behind(source, position), wanted)) as entries:
                async for each in entries:
                    kept.extend(entry for entry in each if wanted.takes(entry))
        return list(kept)

    async def _watch(
        self, query: LogQuery, positions: dict[str, Position], wanted: LogFilter
    ) -> AsyncGenerator[LogBatch]:
        subject = query.job_run or query.service_id
        session = self._sessions.get(subject)
        if session is None:
            session = self._sessions[subject] = LogSession(
                subject,
                self._reader,
                tasks=self._tasks,
                clock=self._clock,
                viewer_bytes=self._viewer_bytes,
            )
        # Whoever asks for few lines of many gets records that are made of those alone, not what all viewers share.
        frames, wanted_of = (None, wanted) if query.is_narrowed else (query.frames, None)
        try:
            async with aclosing(session.join(positions, frames=frames, wanted=wanted_of)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            if not session.viewers and self._sessions.get(subject) is session:
                del self._sessions[subject]
                session.close()


async def _read_to_end(entries: AsyncGenerator[Sequence[Entry]], wanted: LogFilter) -> AsyncGenerator[Sequence[Entry]]:
    """The entries up to the last that can be asked for."""
    async with aclosing(entries):
        async for each in entries:
            end = wanted.find_end(each)
            if end is None:
                yield each
                continue
            if end:
                yield each[:end]
            return


def _parse(cursor: str | None) -> dict[str, Position]:
    if not cursor:
        return {}
    try:
        return parse_cursor(cursor)
    except ValueError as error:
        raise BadCursor(f"cannot resume the log: {error}") from error

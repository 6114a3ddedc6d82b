"""Logs of the node's replicas: what the engine still has of them, and what they write while somebody watches."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from operator import attrgetter
from typing import Final

from agent.core.faults import BadCursor
from agent.core.log_batch import LogBatch
from agent.core.log_reader import EPOCH, LogReader, Source
from agent.core.log_session import LogSession, gather
from agent.core.ports import Engine
from agent.model import labels
from agent.model.engine import EngineEvent, EventKind
from agent.model.logs import Entry, Position
from agent.rules.log_cursor import parse_cursor
from kit.clock import Clock
from kit.tasks import Tasks
from wire.agent.logs import LogQuery

DEFAULT_TAIL: Final = 200
VIEWER_BYTES: Final = 1024 * 1024


class Logs:
    """Reads logs by service. However many watch a service, each of its containers has one follower, and none after the
    last has left. A viewer who reads too slowly is told how many lines it misses, and slows nobody.

    `tasks` owns the followers; `note_event` has to hear the engine's events.
    """

    def __init__(self, engine: Engine, *, tasks: Tasks, clock: Clock, viewer_bytes: int = VIEWER_BYTES) -> None:
        self._reader = LogReader(engine)
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
        watched = self._sessions.get(dict(event.labels).get(labels.SERVICE, ""))
        if watched is not None and event.kind in {EventKind.CONTAINER_STARTED, EventKind.CONTAINER_DESTROYED}:
            watched.refresh()

    def check(self, query: LogQuery) -> None:
        """Raise BadCursor when the query cannot be answered; anything else shows once it is read."""
        _parse(query.after)

    async def read(self, query: LogQuery) -> AsyncGenerator[LogBatch]:
        """The records that are asked for, in batches; with `follow` until the iterator is closed.

        It raises BadCursor, and EngineUnavailable when the engine does not answer.
        """
        positions = _parse(query.after)
        sources = await self._reader.list_sources(query.service_id)
        if query.after is None:
            backlog = self._read_asked(sources, query, positions)
        else:
            present = {source.key for source in sources}
            for key in positions.keys() - present:
                del positions[key]
            backlog = self._reader.read_merged(sources, positions)
        async with aclosing(backlog) as entries:
            async for batch in gather(entries, positions):
                yield batch
        if query.follow:
            async with aclosing(self._watch(query.service_id, positions)) as batches:
                async for batch in batches:
                    yield batch

    async def _read_asked(
        self, sources: Sequence[Source], query: LogQuery, positions: dict[str, Position]
    ) -> AsyncGenerator[Entry]:
        """What `since` and `tail` ask for; `positions` then says where the reader of each log stands ahead of it."""
        since_usec = None if query.since is None else max(0, (query.since - EPOCH) // dt.timedelta(microseconds=1))
        if since_usec is not None:
            positions.update({source.key: Position(usec=since_usec, nth=-1) for source in sources})
            if query.tail is None:
                async with aclosing(self._reader.read_merged(sources, dict(positions))) as entries:
                    async for entry in entries:
                        yield entry
                return
        count = DEFAULT_TAIL if query.tail is None else query.tail
        lists = [await self._reader.read_tail(source, count) for source in sources]
        if since_usec is not None:
            lists = [[entry for entry in each if entry.usec >= since_usec] for each in lists]
        merged = list(heapq.merge(*lists, key=attrgetter("usec")))
        wanted = merged[max(0, len(merged) - count) :]
        taken = Counter(entry.container for entry in wanted)
        for source, entries_read in zip(sources, lists, strict=True):
            if len(entries_read) > taken[source.key]:
                positions[source.key] = entries_read[-taken[source.key] - 1].position
        for entry in wanted:
            yield entry

    async def _watch(self, service_id: str, positions: dict[str, Position]) -> AsyncGenerator[LogBatch]:
        session = self._sessions.get(service_id)
        if session is None:
            session = self._sessions[service_id] = LogSession(
                service_id,
                self._reader,
                tasks=self._tasks,
                clock=self._clock,
                viewer_bytes=self._viewer_bytes,
            )
        try:
            async with aclosing(session.join(positions)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            if not session.viewers and self._sessions.get(service_id) is session:
                del self._sessions[service_id]
                session.close()


def _parse(cursor: str | None) -> dict[str, Position]:
    if not cursor:
        return {}
    try:
        return parse_cursor(cursor)
    except ValueError as error:
        raise BadCursor(f"cannot resume the log: {error}") from error

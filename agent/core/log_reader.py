"""Reads containers' logs from the engine as numbered entries, and merges those of several containers by time."""

from __future__ import annotations

import datetime as dt
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Final

from agent.core.faults import ContainerGone
from agent.core.ports import Engine
from agent.model import labels
from agent.model.engine import Container, ContainerState, RawLine
from agent.model.logs import Entry, Position
from agent.rules.log_cursor import Numbering, Resume
from agent.rules.log_lines import render_line

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SPARE: Final = 64
"""So many lines more than wanted are read from the end of a log, since a cut may fall between lines of one stamp."""
_ALIVE: Final = {ContainerState.RUNNING, ContainerState.PAUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A container whose log is read."""

    container_id: str
    key: str
    """The first 8 characters of its id."""
    replica_id: str
    is_alive: bool


def make_source(container: Container) -> Source:
    """The container as a source of lines."""
    return Source(
        container_id=container.id,
        key=container.id[:8],
        replica_id=container.label(labels.REPLICA) or "",
        is_alive=container.state in _ALIVE,
    )


class LogReader:
    """Reads logs of the engine's containers; a container that is gone has no lines."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_sources(self, service_id: str) -> tuple[Source, ...]:
        """The service's containers that the engine has, running or not."""
        containers = await self._engine.list_containers()
        return tuple(make_source(each) for each in containers if each.label(labels.SERVICE) == service_id)

    async def read_behind(
        self, source: Source, position: Position | None, *, follow: bool = False
    ) -> AsyncGenerator[Entry]:
        """The entries behind the position, from the log's start where it is None; ContainerGone when it goes."""
        resume = None if position is None else Resume(position)
        since = None if resume is None else EPOCH + dt.timedelta(microseconds=resume.start_usec)
        numbering = Numbering()
        async with aclosing(self._engine.read_log(source.container_id, tail=None, since=since, follow=follow)) as lines:
            async for raw in lines:
                for entry in _number(source, raw, numbering):
                    if resume is None:
                        yield entry
                        continue
                    for known in resume.take(entry):
                        yield known
                    if resume.is_found:
                        resume = None
        if resume is not None:
            for entry in resume.finish():
                yield entry

    async def read_tail(self, source: Source, count: int) -> list[Entry]:
        """The last `count` entries and the one ahead of them, as far as there are any."""
        wanted = count + _SPARE
        numbering = Numbering()
        first_usec, read, kept = 0, 0, deque[Entry](maxlen=count + 1)
        with suppress(ContainerGone):
            async with aclosing(
                self._engine.read_log(source.container_id, tail=wanted, since=None, follow=False)
            ) as lines:
                async for raw in lines:
                    read += 1
                    for entry in _number(source, raw, numbering):
                        first_usec = first_usec or entry.usec
                        kept.append(entry)
        # Lines ahead of the cut may have the stamp of those behind it, which are then numbered too low.
        while read >= wanted and len(kept) > 1 and kept[0].usec == first_usec:
            kept.popleft()
        return list(kept)

    async def read_merged(self, sources: Sequence[Source], positions: Mapping[str, Position]) -> AsyncGenerator[Entry]:
        """The entries behind each source's position, merged by time; each log's own order is kept."""
        async with AsyncExitStack() as stack:
            heads: list[tuple[int, int, Entry]] = []
            streams: list[AsyncGenerator[Entry]] = []
            for number, source in enumerate(sources):
                stream = self.read_behind(source, positions.get(source.key))
                streams.append(stream)
                await stack.enter_async_context(aclosing(stream))
                entry = await _next(stream)
                if entry is not None:
                    heads.append((entry.usec, number, entry))
            heapq.heapify(heads)
            while heads:
                _, number, entry = heads[0]
                yield entry
                following = await _next(streams[number])
                if following is None:
                    heapq.heappop(heads)
                else:
                    heapq.heapreplace(heads, (following.usec, number, following))


def _number(source: Source, raw: RawLine, numbering: Numbering) -> list[Entry]:
    usec = (raw.at - EPOCH) // _MICROSECOND
    return [
        Entry(
            container=source.key,
            replica_id=source.replica_id,
            usec=usec,
            nth=numbering.number(usec),
            stream=raw.stream,
            text=text,
            partial=partial,
        )
        for text, partial in render_line(raw.text, partial=raw.partial)
    ]


async def _next(stream: AsyncGenerator[Entry]) -> Entry | None:
    try:
        return await anext(stream, None)
    except ContainerGone:
        return None

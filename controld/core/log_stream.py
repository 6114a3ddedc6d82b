"""One viewer's live log of a service: its nodes merged by time, resumed by themselves, told of when they are away."""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from operator import itemgetter
from typing import Final

from controld.core.log_backlog import pick_tails, read_behind
from controld.core.log_source import LogSource
from controld.core.places import Places
from controld.core.ports import Feed, Watch
from controld.model.node import Node
from controld.model.observed import LogNews, LogNotice, LogText, NoticeKind
from controld.rules.log_cursor import render_cursor
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks
from wire.agent.logs import LinesDropped, LogLine, LogRecord

_MOST_WAITING_BYTES: Final = 1024 * 1024
_RECORD_OVERHEAD: Final = 300
_RETRY_LEAST_SECONDS: Final = 0.25
_RETRY_MOST_SECONDS: Final = 5.0
_FAILURES_TOLD: Final = 2
"""A node that misses so many asks in a row is told of; an agent that restarts is back before."""

_Item = tuple[dt.datetime, LogSource, LogRecord | LogNotice]


class LogStream:
    """Yields news in batches for ever.

    `make_source` says where reading begins on a node that has its part in the log already, `make_new` where on one that
    joins later. `cursors` is where the viewer stands, by node key. With `tail` the stream begins with so many lines.
    """

    def __init__(
        self,
        service_id: str,
        *,
        places: Places,
        feed: Feed,
        clock: Clock,
        make_source: Callable[[Node], LogSource],
        make_new: Callable[[Node], LogSource],
        cursors: dict[str, str],
        tail: int | None,
    ) -> None:
        self._service_id = service_id
        self._places = places
        self._feed = feed
        self._clock = clock
        self._make_source = make_source
        self._make_new = make_new
        self._cursors = cursors
        self._tail = tail
        self._sources: dict[str, LogSource] = {}
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, list[_Item]] = {}
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> AsyncGenerator[list[LogNews]]:
        """What the nodes have, then what comes; closing it ends every read."""
        watch = self._feed.watch("node", "service")
        tasks = Tasks(f"log-{self._service_id}")
        try:
            for node in await self._places.list_nodes(self._service_id):
                self._sources[node.id] = self._make_source(node)
            async with aclosing(self._read_backlog()) as backlog:
                async for news in backlog:
                    yield news
            for source in self._sources.values():
                self._pump(tasks, source)
            tasks.start("nodes", self._follow_nodes(tasks, watch))
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                lists, self._waiting, self._waiting_bytes = list(self._waiting.values()), {}, 0
                self._room.set()
                yield self._word(heapq.merge(*lists, key=itemgetter(0)))
        finally:
            watch.close()
            await tasks.close()

    async def _read_backlog(self) -> AsyncGenerator[list[LogNews]]:
        sources = list(self._sources.values())
        if self._tail is not None:
            lines = await pick_tails(sources, self._cursors, tail=self._tail)
            yield self._word((line.at, source, line) for source, line in lines)
        else:
            async with aclosing(read_behind(sources)) as batches:
                async for batch in batches:
                    yield self._word((line.at, source, line) for source, line in batch)
        silent = [source.said for source in sources if source.said is not None]
        if silent:
            yield [_unreachable(render_cursor(self._cursors), why) for why in silent]

    async def _follow_nodes(self, tasks: Tasks, watch: Watch) -> None:
        """Let nodes that get a replica of the service join, and those without any leave."""
        while True:
            await watch.next()
            try:
                nodes = {node.id: node for node in await self._places.list_nodes(self._service_id)}
            except Fault:
                await self._clock.sleep(_RETRY_MOST_SECONDS)
                nodes = {node.id: node for node in await self._places.list_nodes(self._service_id)}
            for node in nodes.values():
                known = self._sources.get(node.id)
                if known is not None:
                    known.node = node
                    continue
                source = self._sources[node.id] = self._make_new(node)
                self._pump(tasks, source)
            for gone in self._sources.keys() - nodes.keys():
                self._pumps.pop(gone).cancel()
                self._cursors.pop(self._sources.pop(gone).key, None)

    def _pump(self, tasks: Tasks, source: LogSource) -> None:
        self._pumps[source.node.id] = tasks.start(f"node-{source.key}", self._run(source))

    async def _run(self, source: LogSource) -> None:
        failures = 0
        at = self._clock.now()
        while True:
            try:
                async with aclosing(source.read(follow=True)) as records:
                    async for record in records:
                        failures = 0
                        at = record.at if isinstance(record, LogLine) else at
                        if source.said is not None:
                            source.said = None
                            self._put((at, source, _reachable(source)))
                        self._put((at, source, record))
                        if self._waiting_bytes >= _MOST_WAITING_BYTES:
                            self._room.clear()
                            await self._room.wait()
                why = f"node {source.node.name} ended its stream"
            except Fault as fault:
                why = fault.message
            failures += 1
            if failures >= _FAILURES_TOLD and source.said is None:
                source.said = why
                self._put((at, source, _unreachable("", why)))
            await self._clock.sleep(min(_RETRY_MOST_SECONDS, _RETRY_LEAST_SECONDS * 2.0 ** min(failures - 1, 8)))

    def _put(self, item: _Item) -> None:
        _, source, record = item
        self._waiting.setdefault(source.key, []).append(item)
        self._waiting_bytes += _RECORD_OVERHEAD + (len(record.text) if isinstance(record, LogLine) else 0)
        self._arrived.set()

    def _word(self, items: Iterable[_Item]) -> list[LogNews]:
        """The items as news, the viewer moving on with each."""
        news: list[LogNews] = []
        for _, source, item in items:
            match item:
                case LogLine():
                    if source.node.id in self._sources:
                        self._cursors[source.key] = item.id
                    news.append(LogText(id=render_cursor(self._cursors), text=item.text))
                case LinesDropped(count=count):
                    text = f"{count} lines dropped"
                    news.append(LogNotice(id=render_cursor(self._cursors), kind=NoticeKind.DROPPED, text=text))
                case LogNotice():
                    news.append(LogNotice(id=render_cursor(self._cursors), kind=item.kind, text=item.text))
        return news


def _unreachable(cursor: str, why: str) -> LogNotice:
    return LogNotice(id=cursor, kind=NoticeKind.UNREACHABLE, text=f"{why}; its lines are missing until it answers")


def _reachable(source: LogSource) -> LogNotice:
    return LogNotice(id="", kind=NoticeKind.REACHABLE, text=f"node {source.node.name} answers again")

"""One viewer's live log of a service: its nodes merged by time, resumed by themselves, told of when they are away."""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from operator import itemgetter
from typing import Final

from controld.core.log_backlog import read_backlog, word_line
from controld.core.log_relay import LogRelays
from controld.core.log_seat import Seat
from controld.core.log_source import LogSource, word_silence
from controld.core.places import Places
from controld.core.ports import Feed, Watch
from controld.model.node import Node
from controld.model.observed import LogBatch, LogEvents, LogNews, LogNotice, LogText, NoticeKind
from controld.rules.log_cursor import render_cursor
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks
from wire.agent.logs import LinesDropped, LogLine, LogPlace, LogRecord

_MOST_WAITING_BYTES: Final = 1024 * 1024
_RECORD_OVERHEAD: Final = 300
_RETRY_SECONDS: Final = 5.0

_Item = tuple[dt.datetime, LogSource, LogRecord | LogNotice]


class LogStream:
    """Yields news in batches for ever.

    `make_source` says where reading begins on a node that has its part in the log already, `make_new` where on one that
    joins later. `cursors` is where the viewer stands, by node key. With `tail` the stream begins with so many lines.
    With `relays`, what comes is told as the events that its node made, while there is one node.
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
        relays: LogRelays | None = None,
    ) -> None:
        self._service_id = service_id
        self._places = places
        self._feed = feed
        self._clock = clock
        self._make_source = make_source
        self._make_new = make_new
        self._cursors = cursors
        self._tail = tail
        self._relays = relays
        self._seat: Seat | None = None
        self._sources: dict[str, LogSource] = {}
        self._running: set[str] = set()
        """The ids of the nodes that have, or have had since the stream began, something that writes."""
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, list[_Item]] = {}
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._changed = False
        """Whether there are other nodes than a moment ago."""

    async def run(self) -> AsyncGenerator[LogBatch]:
        """What the nodes have, then what comes; closing it ends every read."""
        watch = self._feed.watch("node", "service")
        tasks = Tasks(f"log-{self._service_id}")
        try:
            for node in await self._places.list_log_nodes(self._service_id):
                self._sources[node.id] = self._make_source(node)
            self._running = await self._find_running()
            async with aclosing(self._read_backlog()) as backlog:
                async for news in backlog:
                    yield news
            tasks.start("nodes", self._follow_nodes(watch))
            while True:
                alone = await self._find_alone()
                live = self._read_merged(tasks) if alone is None else self._read_alone(*alone)
                async with aclosing(live) as batches:
                    async for batch in batches:
                        yield batch
        finally:
            watch.close()
            await tasks.close()

    async def _read_backlog(self) -> AsyncGenerator[LogBatch]:
        sources = list(self._sources.values())
        if self._relays is not None and len(sources) == 1 and self._tail is None:
            try:
                async with aclosing(sources[0].read_events(follow=False)) as pieces:
                    async for events in pieces:
                        yield LogEvents(data=events)
            except Fault as fault:
                sources[0].said = fault.message
                yield [word_silence(sources[0].last_id, fault.message)]
            if sources[0].read_to is not None:
                self._cursors[sources[0].key] = sources[0].read_to
            return
        async with aclosing(read_backlog(sources, self._cursors, tail=self._tail)) as backlog:
            async for news in backlog:
                yield news

    async def _find_alone(self) -> tuple[LogRelays, LogSource] | None:
        """The only node's source, whose events can be told as they are; None where lines have to be merged."""
        if self._relays is None or len(self._sources) != 1 or self._waiting:
            return None
        source = next(iter(self._sources.values()))
        if (pump := self._pumps.pop(source.node.id, None)) is not None:
            pump.cancel()
            await asyncio.wait([pump])
            if self._waiting:
                return None
        return self._relays, source

    async def _read_alone(self, relays: LogRelays, source: LogSource) -> AsyncGenerator[LogBatch]:
        """The events of the only node, until it is that no more."""
        self._cursors.clear()
        self._seat = relays.make_seat(source)
        try:
            async with aclosing(relays.follow(self._service_id, source, self._seat)) as items:
                async for item in items:
                    yield LogEvents(data=item) if isinstance(item, bytes) else [item]
        finally:
            self._seat = None
        if source.read_to is not None and source.node.id in self._sources:
            self._cursors[source.key] = source.read_to

    async def _read_merged(self, tasks: Tasks) -> AsyncGenerator[list[LogNews]]:
        """The lines of all nodes, until there is one."""
        for source in self._sources.values():
            # Of a node that the service has left there is only what it had to begin with.
            is_over = source.node.id not in self._running and source.said is None
            if source.node.id not in self._pumps and not is_over:
                self._pumps[source.node.id] = tasks.start(f"node-{source.key}", self._run(source))
        while True:
            if self._waiting:
                lists, self._waiting, self._waiting_bytes = list(self._waiting.values()), {}, 0
                self._room.set()
                yield self._word(heapq.merge(*lists, key=itemgetter(0)))
            if self._changed:
                self._changed = False
                return
            await self._arrived.wait()
            self._arrived.clear()

    async def _follow_nodes(self, watch: Watch) -> None:
        """Let nodes that get a replica of the service join, and those that are removed leave."""
        while True:
            await watch.next()
            try:
                nodes, running = await self._find_nodes(), await self._find_running()
            except Fault:
                await self._clock.sleep(_RETRY_SECONDS)
                nodes, running = await self._find_nodes(), await self._find_running()
            before = self._sources.keys()
            for node in nodes.values():
                if (known := self._sources.get(node.id)) is not None:
                    known.node = node
                    if self._relays is not None:
                        self._relays.move(self._service_id, node)
            if before == nodes.keys() and running <= self._running:
                continue
            self._running |= running | (nodes.keys() - before)
            for gone in before - nodes.keys():
                if (pump := self._pumps.pop(gone, None)) is not None:
                    pump.cancel()
                self._cursors.pop(self._sources.pop(gone).key, None)
            for new in nodes.keys() - before:
                self._sources[new] = self._make_new(nodes[new])
            self._changed = True
            self._arrived.set()
            if self._seat is not None:
                self._seat.stop()

    async def _find_nodes(self) -> dict[str, Node]:
        return {node.id: node for node in await self._places.list_log_nodes(self._service_id)}

    async def _find_running(self) -> set[str]:
        return {node.id for node in await self._places.list_nodes(self._service_id)}

    async def _run(self, source: LogSource) -> None:
        at = self._clock.now()
        async with aclosing(source.follow(clock=self._clock)) as records:
            async for record in records:
                at = record.at if isinstance(record, LogLine) else at
                self._put((at, source, record))
                if self._waiting_bytes >= _MOST_WAITING_BYTES:
                    self._room.clear()
                    await self._room.wait()

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
                case LogLine() if source.node.id in self._sources:
                    news.append(word_line(source, item, self._cursors))
                case LogLine():
                    news.append(LogText(id=render_cursor(self._cursors), node_id=source.node.id, line=item))
                case LogPlace(id=place):
                    if source.node.id in self._sources:
                        self._cursors[source.key] = place
                case LinesDropped(count=count):
                    text = f"{count} lines dropped"
                    news.append(LogNotice(id=render_cursor(self._cursors), kind=NoticeKind.DROPPED, text=text))
                case LogNotice():
                    news.append(LogNotice(id=render_cursor(self._cursors), kind=item.kind, text=item.text))
        return news

"""Nodes with logs, the feed that tells of them, and viewers who read in the background."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Iterator
from contextlib import aclosing

from controld.core.log_relay import LogRelays
from controld.core.log_source import LogSource
from controld.core.log_stream import LogStream
from controld.core.places import Places
from controld.model.node import Node
from controld.model.observed import LogEvents, LogNews, LogNotice, LogText, NoticeKind
from controld.rules.log_cursor import node_key, parse_cursor
from controld.store.feed import Feed
from kit.http.sse_parse import EventParser
from kit.tasks import Tasks
from tests.controld.store.test_nodes import NODE
from tests.fakes.agents import FakeAgents, FakeLog
from tests.fakes.clock import FakeClock
from wire.agent.logs import LogLine, LogQuery

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class StillPlaces(Places):
    """Nodes as a test lists them."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.left: list[Node] = []
        """Those of them that the service has left."""

    async def list_nodes(self, service_id: str) -> list[Node]:
        return [node for node in self.nodes if node not in self.left]

    async def list_log_nodes(self, service_id: str) -> list[Node]:
        return list(self.nodes)


class Fleet:
    """Nodes with logs, and viewers of the service that runs on them."""

    def __init__(self, count: int, *, as_events: bool = False, viewer_bytes: int = 1 << 20) -> None:
        self.nodes = [dataclasses.replace(NODE, id=f"{NODE.id[:-1]}{n}", name=f"vm{n}") for n in range(count)]
        self.places = StillPlaces(list(self.nodes))
        self.agents = FakeAgents()
        self.clock = FakeClock()
        self.relays = LogRelays(clock=self.clock, viewer_bytes=viewer_bytes) if as_events else None
        self.feed = Feed("test")
        self.tasks = Tasks("test")
        self.written = 0

    def log(self, number: int) -> FakeLog:
        return self.agents.logs.setdefault(self.nodes[number].id, FakeLog())

    def write(self, number: int, text: str | None = None) -> str:
        self.written += 1
        text = text or f"{number}:{len(self.log(number).records)}"
        self.log(number).write(text, at=EPOCH + dt.timedelta(milliseconds=self.written))
        return text

    def watch(self, *, tail: int | None = 200, after: str | None = None) -> Viewer:
        cursors = parse_cursor(after) if after else {}
        tail = None if cursors else tail

        def make_source(node: Node) -> LogSource:
            place = cursors.get(node_key(node.id))
            query = LogQuery(
                service_id="s", since=EPOCH if tail is None else None, tail=None if tail is None else tail + 1
            )
            return LogSource(node, self.agents, query=query, read_to=place)

        stream = LogStream(
            "s",
            places=self.places,
            feed=self.feed,
            clock=self.clock,
            make_source=make_source,
            make_new=lambda node: LogSource(node, self.agents, query=LogQuery(service_id="s", since=EPOCH)),
            cursors=cursors,
            tail=tail,
            relays=self.relays,
        )
        return Viewer(self, stream)

    async def settle(self) -> None:
        for _ in range(6):
            await self.clock.advance(1.0)


class Viewer:
    """Reads a stream in the background until it is dropped."""

    def __init__(self, fleet: Fleet, stream: LogStream) -> None:
        self.news: list[LogNews] = []
        self.open = asyncio.Event()
        self.open.set()
        self._events = EventParser()
        self._stream = stream
        self._task = fleet.tasks.start("viewer", self._read())

    async def _read(self) -> None:
        async with aclosing(self._stream.run()) as batches:
            async for batch in batches:
                self.news += self._parse(batch.data) if isinstance(batch, LogEvents) else batch
                await self.open.wait()

    def _parse(self, data: bytes) -> Iterator[LogNews]:
        for event in self._events.feed(data):
            if event.event == "dropped":
                yield LogNotice(id=event.id, kind=NoticeKind.DROPPED, text=event.data)
            else:
                line = LogLine(id="", at=EPOCH, replica_id="", stream="", text=event.data)
                yield LogText(id=event.id, node_id="", line=line)

    @property
    def texts(self) -> list[str]:
        return [each.text for each in self.news if isinstance(each, LogText)]

    @property
    def notices(self) -> list[NoticeKind]:
        return [each.kind for each in self.news if isinstance(each, LogNotice)]

    async def drop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

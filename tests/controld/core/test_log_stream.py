"""A live log over several nodes: merged, resumed and honest about what is missing."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import random
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controld.core.log_source import LogSource
from controld.core.log_stream import LogStream
from controld.core.places import Places
from controld.model.change import Change
from controld.model.node import Node
from controld.model.observed import LogNews, LogNotice, LogText, NoticeKind
from controld.rules.log_cursor import node_key, parse_cursor
from controld.store.feed import Feed
from kit.tasks import Tasks
from tests.controld.store.test_nodes import NODE
from tests.fakes.agents import FakeAgents, FakeLog
from tests.fakes.clock import FakeClock

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class StillPlaces(Places):
    """Nodes as a test lists them."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    async def list_nodes(self, service_id: str) -> list[Node]:
        return list(self.nodes)


class Fleet:
    """Nodes with logs, and viewers of the service that runs on them."""

    def __init__(self, count: int) -> None:
        self.nodes = [dataclasses.replace(NODE, id=f"{NODE.id[:-1]}{n}", name=f"vm{n}") for n in range(count)]
        self.places = StillPlaces(list(self.nodes))
        self.agents = FakeAgents()
        self.clock = FakeClock()
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
            since = EPOCH if tail is None else None
            return LogSource(
                node,
                self.agents,
                service_id="s",
                read_to=place,
                since=since,
                tail=None if tail is None else tail + 1,
            )

        stream = LogStream(
            "s",
            places=self.places,
            feed=self.feed,
            clock=self.clock,
            make_source=make_source,
            make_new=lambda node: LogSource(node, self.agents, service_id="s", since=EPOCH),
            cursors=cursors,
            tail=tail,
        )
        return Viewer(self, stream)

    async def settle(self) -> None:
        for _ in range(6):
            await self.clock.advance(1.0)


class Viewer:
    """Reads a stream in the background until it is dropped."""

    def __init__(self, fleet: Fleet, stream: LogStream) -> None:
        self.news: list[LogNews] = []
        self._stream = stream
        self._task = fleet.tasks.start("viewer", self._read())

    async def _read(self) -> None:
        async with aclosing(self._stream.run()) as batches:
            async for batch in batches:
                self.news += batch

    @property
    def texts(self) -> list[str]:
        return [each.text for each in self.news if isinstance(each, LogText)]

    @property
    def notices(self) -> list[NoticeKind]:
        return [each.kind for each in self.news if isinstance(each, LogNotice)]

    async def drop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    made = Fleet(2)
    yield made
    await made.tasks.close()


async def test_the_backlog_of_all_nodes_is_merged_by_time_and_live_lines_follow(fleet: Fleet) -> None:
    written = [fleet.write(n % 2) for n in range(9)]
    viewer = fleet.watch(tail=4)
    await fleet.settle()
    later = [fleet.write(1), fleet.write(0)]
    await fleet.settle()

    assert viewer.texts == [*written[-4:], *later]
    assert viewer.notices == []


async def test_any_event_can_be_resumed_from(fleet: Fleet) -> None:
    written = [fleet.write(n % 3 % 2) for n in range(12)]
    viewer = fleet.watch(tail=8)
    await fleet.settle()
    for number, news in enumerate(viewer.news):
        again = fleet.watch(after=news.id)
        await fleet.settle()
        assert again.texts == written[4 + number + 1 :]
        await again.drop()


async def test_a_node_that_does_not_answer_is_told_of_and_its_lines_follow_when_it_does(fleet: Fleet) -> None:
    fleet.agents.offline.add(fleet.nodes[1].id)
    fleet.write(0)
    lost = fleet.write(1)
    viewer = fleet.watch()
    await fleet.settle()
    before = (list(viewer.texts), list(viewer.notices))
    fleet.agents.offline.clear()
    await fleet.settle()

    assert before == (["0:0"], [NoticeKind.UNREACHABLE])
    assert viewer.texts == ["0:0", lost]
    assert viewer.notices == [NoticeKind.UNREACHABLE, NoticeKind.REACHABLE]
    assert "vm1" in viewer.news[1].text


async def test_an_agent_that_restarts_costs_nothing_and_is_not_told_of(fleet: Fleet) -> None:
    viewer = fleet.watch()
    await fleet.settle()
    expected = [fleet.write(0)]
    await fleet.settle()
    fleet.log(0).cut()
    expected.append(fleet.write(0))
    await fleet.settle()

    assert viewer.texts == expected
    assert viewer.notices == []


async def test_lines_that_an_agent_dropped_are_told(fleet: Fleet) -> None:
    viewer = fleet.watch()
    await fleet.settle()
    fleet.write(0)
    await fleet.settle()
    fleet.log(0).drop(17)
    await fleet.settle()

    assert isinstance(viewer.news[1], LogNotice)
    assert (viewer.news[1].kind, viewer.news[1].text) == (NoticeKind.DROPPED, "17 lines dropped")
    assert viewer.news[1].id == viewer.news[0].id


async def test_a_node_that_gets_a_replica_joins_and_one_without_leaves(fleet: Fleet) -> None:
    fleet.places.nodes = fleet.nodes[:1]
    fleet.write(1, "from before it joined")
    viewer = fleet.watch()
    await fleet.settle()
    fleet.places.nodes = fleet.nodes[1:]
    await _announce(fleet)
    fleet.write(0, "after it left")
    fleet.write(1, "joined")
    await fleet.settle()

    assert viewer.texts == ["from before it joined", "joined"]
    assert [fleet.log(0).readers, fleet.log(1).readers] == [0, 1]
    assert list(parse_cursor(viewer.news[-1].id)) == [node_key(fleet.nodes[1].id)]


async def test_every_read_ends_with_its_viewer(fleet: Fleet) -> None:
    viewers = [fleet.watch() for _ in range(5)]
    await fleet.settle()
    open_reads = fleet.log(0).readers
    for viewer in viewers:
        await viewer.drop()

    assert open_reads == 5
    assert [fleet.log(0).readers, fleet.log(1).readers] == [0, 0]


STEP = st.sampled_from(["write", "write", "burst", "cut", "offline", "online", "drop"])


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=30), st.integers(0, 2**32))
def test_whatever_breaks_a_viewer_who_resumes_sees_each_line_once_and_in_order(steps: list[str], seed: int) -> None:
    asyncio.run(_watch_through(steps, random.Random(seed)))


async def _watch_through(steps: list[str], choose: random.Random) -> None:
    fleet = Fleet(3)
    seen: list[LogNews] = []
    viewer = fleet.watch()

    async def resume() -> None:
        nonlocal viewer
        await viewer.drop()
        seen.extend(viewer.news)
        last = next((news.id for news in reversed(seen) if news.id), None)
        viewer = fleet.watch(after=last)

    for step in steps:
        number = choose.randrange(3)
        match step:
            case "write":
                fleet.write(number)
            case "burst":
                for _ in range(choose.randrange(30)):
                    fleet.write(choose.randrange(3))
            case "cut":
                fleet.log(number).cut()
            case "offline":
                fleet.agents.offline.add(fleet.nodes[number].id)
                fleet.log(number).cut()
            case "online":
                fleet.agents.offline.clear()
            case _:
                await resume()
        if choose.random() < 0.6:
            await fleet.clock.advance(choose.choice([0.0, 0.3, 6.0]))
    fleet.agents.offline.clear()
    for _ in range(3):
        await fleet.settle()
    await resume()
    for _ in range(3):
        await fleet.settle()
    await viewer.drop()
    seen.extend(viewer.news)
    await fleet.tasks.close()

    texts = [news.text for news in seen if isinstance(news, LogText)]
    for number in range(3):
        mine = [text for text in texts if text.startswith(f"{number}:")]
        assert mine == [line.text for line in fleet.log(number).records]
        assert fleet.log(number).readers == 0


async def _announce(fleet: Fleet) -> None:
    fleet.feed.publish([Change("node", fleet.nodes[1].id)])
    await fleet.settle()

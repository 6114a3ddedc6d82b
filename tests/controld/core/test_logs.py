"""A service's log through controld and the agents of its nodes, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.log_batch import LogBatch
from controld.core.faults import NodeOffline
from controld.core.logs import Logs
from controld.core.services import Services
from controld.model.caller import Caller
from controld.model.node import Node
from controld.model.observed import LogNotice, LogText, NoticeKind
from controld.model.service import Service
from controld.store.feed import Feed
from kit.tasks import Tasks
from tests.agent.core.log_world import SERVICE, World
from tests.controld.consoles import HOLDER
from tests.controld.core.log_fleet import StillPlaces
from tests.controld.store import rows
from tests.controld.store.test_nodes import NODE
from tests.fakes.agents import FakeAgents, FakeLog
from tests.fakes.clock import FakeClock
from wire.agent.logs import LogLine, LogQuery, LogRecord, decode_record

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NODES = 2
STEP = st.sampled_from(
    [
        "write",
        "write",
        "skewed",
        "burst",
        "burst",
        "leave",
        "leave",
        "agent",
        "offline",
        "online",
        "exit",
        "start",
        "replace",
    ]
)
QUERY = st.sampled_from(
    [
        LogQuery(),
        LogQuery(grep="!"),
        LogQuery(grep_regex="^[^?]*!$", replica_indices=(0, 2)),
        LogQuery(replica_ids=("n0-r1", "n1-r0")),
    ]
)


class OpenServices(Services):
    """One service that everybody may read."""

    def __init__(self) -> None:
        pass

    async def admit(self, caller: Caller, service_id: str, *, operation: str) -> Service:
        return rows.SERVICE


class Connection:
    """Carries batches of one read from a node; what is under way when it breaks is lost."""

    def __init__(self) -> None:
        self.is_broken = False
        self._items: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=4)

    def cut(self) -> None:
        self.is_broken = True
        with suppress(asyncio.QueueFull):
            self._items.put_nowait(None)

    async def carry(self, batches: AsyncGenerator[LogBatch]) -> None:
        async with aclosing(batches):
            async for batch in batches:
                await self._items.put(batch.encode())
        await self._items.put(None)

    async def receive(self) -> bytes | None:
        data = await self._items.get()
        if self.is_broken:
            raise NodeOffline("the connection broke")
        return data


class AgentsOfWorlds(FakeAgents):
    """Agents whose logs are real, and which are reached or not."""

    def __init__(self, worlds: dict[str, World]) -> None:
        super().__init__()
        self.worlds = worlds
        self._connections: list[tuple[str, Connection]] = []

    def cut(self, node_id: str) -> None:
        """Break every stream of the node."""
        for owner, connection in self._connections:
            if owner == node_id:
                connection.cut()

    async def read_logs(self, node: Node, query: LogQuery) -> AsyncGenerator[LogRecord]:
        if node.id in self.offline:
            raise NodeOffline("the node is away")
        tasks, connection = Tasks("a connection"), Connection()
        self._connections.append((node.id, connection))
        try:
            tasks.start("carry", connection.carry(self.worlds[node.id].logs.read(query)))
            while (data := await connection.receive()) is not None:
                for line in data.splitlines():
                    yield decode_record(line)
        finally:
            self._connections.remove((node.id, connection))
            await tasks.close()


class Whole:
    """Two nodes with two replicas each, controld's logs over them, and one viewer who comes back whenever it left."""

    def __init__(self, query: LogQuery, choose: random.Random) -> None:
        self.query = query
        self.choose = choose
        self.clock = FakeClock()
        self.nodes = [dataclasses.replace(NODE, id=f"{NODE.id[:-1]}{n}", name=f"vm{n}") for n in range(NODES)]
        self.worlds = {node.id: World() for node in self.nodes}
        self.agents = AgentsOfWorlds(self.worlds)
        self.logs = Logs(
            services=OpenServices(),
            places=StillPlaces(self.nodes),
            agents=self.agents,
            feed=Feed("test"),
            clock=self.clock,
        )
        self.tasks = Tasks("viewer")
        self.seen: list[LogText] = []
        self.written: dict[tuple[str, str], list[str]] = {}
        """What was written, by node and container."""
        self.replicas: dict[tuple[str, str], tuple[str, int]] = {}
        self.stopped: set[tuple[str, str]] = set()
        self.gone: set[tuple[str, str]] = set()
        self._viewer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for number, node in enumerate(self.nodes):
            for index in range(2):
                await self.run(node.id, f"n{number}-r{index}", index)
        self.watch()

    async def run(self, node_id: str, replica_id: str, index: int) -> None:
        container = await self.worlds[node_id].run(replica_id, index=index)
        self.written[node_id, container] = []
        self.replicas[node_id, container] = (replica_id, index)

    async def write(self, back_usec: int = 0) -> None:
        place = self.choose.choice(sorted(self.written.keys() - self.stopped - self.gone))
        node_id, container = place
        text = f"{node_id}/{container} {len(self.written[place])}{self.choose.choice(['', '!', '!?', ''])}"
        self.written[place].append(text)
        await self.worlds[node_id].write(container, text, back_usec=back_usec)

    def watch(self) -> None:
        after = self.seen[-1].id if self.seen else None
        self._viewer = self.tasks.start("viewer", self._read(after))

    async def _read(self, after: str | None) -> None:
        async with aclosing(await self.logs.follow(HOLDER, SERVICE, self.query, after=after)) as batches:
            async for news in batches:
                assert isinstance(news, list)
                self.seen += [each for each in news if isinstance(each, LogText)]

    async def leave(self) -> None:
        assert self._viewer is not None
        self._viewer.cancel()
        await asyncio.wait([self._viewer])

    async def act(self, step: str) -> None:
        node = self.choose.choice(self.nodes)
        alive = sorted(self.written.keys() - self.stopped - self.gone)
        match step:
            case "write":
                await self.write()
            case "skewed":
                await self.write(self.choose.choice([1, 500, 20_000]))
            case "burst":
                for _ in range(self.choose.randrange(40)):
                    await self.write(self.choose.choice([0, 0, 1]))
            case "leave":
                await self.leave()
                self.watch()
            case "agent":
                self.worlds[node.id].restart_agent()
                self.agents.cut(node.id)
            case "offline":
                self.agents.offline.add(node.id)
                self.agents.cut(node.id)
            case "online":
                self.agents.offline.clear()
            case "exit" if len(alive) > 1:
                self.stopped.add(alive[0])
                await self.worlds[alive[0][0]].engine.exit_container(alive[0][1], 1)
            case "start" if self.stopped:
                back = min(self.stopped)
                self.stopped.discard(back)
                await self.worlds[back[0]].engine.restart_container(back[1])
            case "replace" if len(self.replicas) < 8 and len(alive) > 1:
                old = self.choose.choice(alive)
                await self.run(old[0], f"{self.replicas[old][0]}-{len(self.replicas)}", self.replicas[old][1])
                self.gone.add(old)
                await self.worlds[old[0]].remove(old[1])
            case _:
                pass

    async def settle(self, rounds: int) -> None:
        for _ in range(rounds):
            for clock in (self.clock, *(world.clock for world in self.worlds.values())):
                await clock.advance(1.0)

    def wanted(self, place: tuple[str, str]) -> list[str]:
        replica_id, index = self.replicas[place]
        query = self.query
        if (query.replica_ids or query.replica_indices) and not (
            replica_id in query.replica_ids or index in query.replica_indices
        ):
            return []
        lines = [text for text in self.written[place] if query.grep in text]
        return [text for text in lines if text.endswith("!") and "?" not in text] if query.grep_regex else lines

    async def end(self) -> None:
        self.agents.offline.clear()
        await self.settle(12)
        await self.act("leave")
        await self.settle(12)
        await self.leave()
        await self.settle(2)
        for world in self.worlds.values():
            assert world.engine.following == 0
            await world.tasks.close()
        assert self.logs.streams == 0
        await self.tasks.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=25), QUERY, st.integers(0, 2**32))
def test_whatever_breaks_whoever_resumes_sees_each_line_that_was_asked_for_once_and_in_order(
    steps: list[str], query: LogQuery, seed: int
) -> None:
    asyncio.run(_watch_through(steps, query, random.Random(seed)))


async def _watch_through(steps: list[str], query: LogQuery, choose: random.Random) -> None:
    whole = Whole(query, choose)
    await whole.start()
    for step in steps:
        await whole.act(step)
        if choose.random() < 0.5:
            await whole.settle(choose.choice([1, 1, 7]))
    await whole.end()

    texts = [news.text for news in whole.seen]
    for place in whole.written:
        assert [text for text in texts if text.startswith(f"{place[0]}/{place[1]} ")] == whole.wanted(place)
    assert len(texts) == sum(len(whole.wanted(place)) for place in whole.written)


class EndlessAgents(FakeAgents):
    """Agents whose logs never end."""

    told = 0

    async def read_logs(self, node: Node, query: LogQuery) -> AsyncGenerator[LogRecord]:
        while True:
            self.told += 1
            at = EPOCH + dt.timedelta(seconds=self.told)
            yield LogLine(id=f"c-{self.told}-0", at=at, replica_id="r", stream="stdout", text="x" * 1000)


async def test_an_export_reads_no_further_than_its_reader_and_ends_with_it() -> None:
    agents = EndlessAgents()
    logs = Logs(
        services=OpenServices(), places=StillPlaces([NODE]), agents=agents, feed=Feed("test"), clock=FakeClock()
    )
    async with logs.export(HOLDER, SERVICE, LogQuery(), partial=False) as exported:
        taken = 0
        for _ in range(10):
            taken += len(await anext(exported.lines))
            assert agents.told <= taken + 300
        assert logs.streams == 1
    assert logs.streams == 0


@pytest.mark.parametrize("tail", [None, 2])
async def test_a_stream_goes_on_live_until_its_moment_has_come_and_says_so(tail: int | None) -> None:
    clock, agents, tasks = FakeClock(), FakeAgents(), Tasks("test")
    log = agents.logs[NODE.id] = FakeLog()
    logs = Logs(services=OpenServices(), places=StillPlaces([NODE]), agents=agents, feed=Feed("test"), clock=clock)
    until = clock.now() + dt.timedelta(hours=1)
    seen: list[LogText | LogNotice] = []

    def write(text: str, *, early_seconds: float) -> None:
        log.write(text, at=until - dt.timedelta(seconds=early_seconds))

    async def follow() -> None:
        async with aclosing(await logs.follow(HOLDER, SERVICE, LogQuery(until=until, tail=tail))) as batches:
            async for news in batches:
                assert isinstance(news, list)
                seen.extend(news)

    write("there", early_seconds=7200)
    following = tasks.start("viewer", follow())
    await clock.advance(1)
    write("live", early_seconds=3599)
    await clock.advance(3599)
    assert [news.text for news in seen] == ["there", "live"]
    write("in time", early_seconds=0.001)
    write("late", early_seconds=0)
    await clock.advance(0.5)
    assert not following.done()
    log.cut()
    agents.offline.add(NODE.id)
    write("while it was away", early_seconds=0.001)
    await clock.advance(0.3)
    agents.offline.clear()
    await clock.advance(0.2)
    await following

    lines = [news.text for news in seen if isinstance(news, LogText)]
    assert lines == ["there", "live", "in time", "while it was away"]
    assert isinstance(seen[-1], LogNotice)
    assert seen[-1].kind is NoticeKind.ENDED
    assert (log.readers, logs.streams) == (0, 0)
    await tasks.close()

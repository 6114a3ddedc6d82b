"""controld's calls to agents, against a server with a node's certificate."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.api.auth import authenticate_controld
from agent.api.envelope import render_fault
from agent.core.faults import ContextMissing
from controld.core.faults import NodeFault, NodeOffline
from controld.gateways.agents import AgentCalls
from controld.model.caller import SETUP_CALLER
from controld.model.node import Node
from controld.store.engine import Database
from kit.clock import SystemClock
from kit.faults import Kind
from kit.http.ndjson import CONTENT_TYPE, MessageStream
from kit.http.server import Server
from kit.http.sse import frame
from kit.http.surface import Ask, Route, Surface
from kit.ids import SystemIds
from kit.tasks import Tasks
from tests.nodeside import NodeSide, make_agent, node_side
from wire.agent.activity import Activity, ServiceActivity
from wire.agent.builds import BuildAsked, WorkDone, WorkLine
from wire.agent.images import ImageCache, KeptImage, SweepAsked, SweepDone
from wire.agent.logs import EVENTS, LogLine, LogQuery
from wire.agent.metrics import ServiceMetrics
from wire.spec import Limits, Origin

ID = "00000000-0000-7000-8000-000000000001"
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BUILD = BuildAsked(
    repository="default/web",
    dockerfile_path="Dockerfile",
    context_path=".",
    limits=Limits(cpu_millis=1000, memory_bytes=1),
    timeout_seconds=60,
    tag="1",
)


_ACTIVITY = Activity(services=(ServiceActivity(service_id="s", open_requests=2, idle_seconds=1.5),))


class Machine:
    """An agent's surface that says what the test wants."""

    def __init__(self) -> None:
        self.received = 0
        self.cancelled: list[str] = []
        self.lines: list[bytes] = []
        self.goes_on = False
        self.query: LogQuery | None = None
        self.content_type = CONTENT_TYPE

    def surface(self) -> Surface:
        def row(method: str, path: str, handler: object, **more: object) -> Route:
            return Route(method=method, path=path, access="controld", handler=handler, summary="", **more)  # type: ignore[arg-type]

        return Surface(
            name="agent",
            title="",
            version="1",
            claims=("/",),
            routes=(
                row("PUT", "/builds/{id}/context", self.stage, raw_body="application/zstd", status=204),
                row("POST", "/builds/{id}", self.build, body=BuildAsked, stream=CONTENT_TYPE),
                row("DELETE", "/builds/{id}", self.cancel, status=204),
                row("GET", "/logs", self.logs, query=LogQuery, stream=CONTENT_TYPE),
                row("GET", "/metrics", self.metrics),
                row("GET", "/node/history", self.nonsense),
                row("GET", "/activity", self.activity),
                row("GET", "/images", self.images),
                row("POST", "/images/sweep", self.sweep, body=SweepAsked),
            ),
            authenticate=authenticate_controld,
            render_fault=render_fault,
        )

    async def stage(self, ask: Ask) -> None:
        async for piece in ask.request.content.iter_any():
            self.received += len(piece)

    async def build(self, ask: Ask) -> object:
        if not self.received:
            raise ContextMissing("cannot build: the context is not here")
        return await self._tell(ask)

    async def activity(self, ask: Ask) -> object:
        del ask
        return _ACTIVITY

    async def images(self, _: Ask) -> ImageCache:
        return ImageCache(entries=2, total_bytes=30)

    async def sweep(self, ask: Ask) -> SweepDone:
        asked: SweepAsked = ask.body
        return SweepDone(
            cache=ImageCache(entries=1, total_bytes=10),
            scanned=2,
            deleted=1,
            deleted_bytes=20,
            kept_in_use=len(asked.kept),
            kept_recent=0,
        )

    async def cancel(self, ask: Ask) -> None:
        self.cancelled.append(ask.path["id"])

    async def logs(self, ask: Ask) -> object:
        self.query = ask.query
        return await self._tell(ask)

    async def metrics(self, ask: Ask) -> object:
        return ServiceMetrics(replicas=())

    async def nonsense(self, ask: Ask) -> object:
        return {"cpu": "yes"}

    async def _tell(self, ask: Ask) -> object:
        async with MessageStream(
            ask, clock=SystemClock(), keepalive_seconds=0.05, content_type=self.content_type
        ) as stream:
            for line in self.lines:
                await stream.send(line + b"\n")
            if self.goes_on:
                await asyncio.sleep(60)
            return stream.response


@dataclasses.dataclass
class Bench:
    """A node that is enrolled and answers, and the gateway that asks it."""

    side: NodeSide
    node: Node
    machine: Machine
    calls: AgentCalls


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[Bench]:
    async with node_side(database, tmp_path / "authority") as side:
        agent, machine, tasks = make_agent(tmp_path / "agent"), Machine(), Tasks("machine")
        await agent.enrolment.enrol(await side.token(), name="vm1", port=7190)
        server = Server(
            [machine.surface()],
            host="127.0.0.1",
            port=0,
            ids=SystemIds(),
            tasks=tasks,
            ssl=await agent.files.make_server_context(),
        )
        await server.start()
        calls = AgentCalls(
            await side.authority_files.make_client_context(), connect_seconds=2, answer_seconds=2, silence_seconds=0.5
        )
        (node,) = await side.nodes.list(SETUP_CALLER)
        yield Bench(side, dataclasses.replace(node, port=server.port), machine, calls)
        await calls.close()
        await server.stop(1)
        await tasks.close()


async def test_a_context_is_streamed_and_a_build_told_to_its_end(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "context"
    path.write_bytes(b"x" * 3_000_000)
    done = b'{"t":"done","image":"i","origin":"hosted","digest":"sha256:a"}'
    bench.machine.lines = [b'{"t":"line","text":"step 1"}', done]

    with pytest.raises(NodeFault) as missing:
        await anext(bench.calls.run_build(bench.node, ID, BUILD))
    await bench.calls.send_context(bench.node, ID, path)
    events = [event async for event in bench.calls.run_build(bench.node, ID, BUILD)]
    await bench.calls.cancel_work(bench.node, ID)

    assert (missing.value.remote_code, missing.value.kind) == ("context_missing", Kind.CONFLICT)
    assert bench.machine.received == 3_000_000
    assert [type(event) for event in events] == [WorkLine, WorkDone]
    assert bench.machine.cancelled == [ID]


async def test_work_that_breaks_off_is_the_nodes_absence_and_not_an_end(bench: Bench) -> None:
    bench.machine.received = 1
    bench.machine.lines = [b'{"t":"line","text":"step 1"}']

    with pytest.raises(NodeOffline, match="broke off"):
        async for _ in bench.calls.run_build(bench.node, ID, BUILD):
            pass


async def test_logs_are_asked_for_as_they_are_wanted_and_a_quiet_stream_stays_open(bench: Bench) -> None:
    bench.machine.lines = [
        b'{"t":"line","id":"1","at":"2026-01-01T00:00:00Z","replica_id":"r","stream":"stdout","text":"hello"}'
    ]
    bench.machine.goes_on = True
    query = LogQuery(service_id="s", tail=5, follow=True, since=AT)

    async with aclosing(bench.calls.read_logs(bench.node, query)) as records:
        record = await anext(records)
        with pytest.raises(TimeoutError):
            # Twice as long as silence is borne: empty lines are signs of life.
            await asyncio.wait_for(anext(records), 1.0)

    assert isinstance(record, LogLine)
    assert bench.machine.query == query


@pytest.mark.parametrize("content_type", [CONTENT_TYPE, EVENTS])
async def test_logs_come_as_events_from_an_agent_that_makes_none_too(bench: Bench, content_type: str) -> None:
    framed = [frame("hello", id="n:1"), frame("9 lines dropped", event="dropped")]
    bench.machine.lines = [
        b'{"t":"line","id":"1","at":"2026-01-01T00:00:00Z","replica_id":"r","stream":"stdout","text":"hello"}',
        b'{"t":"dropped","count":9}',
        b'{"t":"place","id":"2"}',
    ]
    if content_type == EVENTS:
        bench.machine.lines = [events.removesuffix(b"\n") for events in framed]
    bench.machine.content_type = content_type
    query = LogQuery(service_id="s", frames="n:")

    async with aclosing(bench.calls.read_log_events(bench.node, query)) as pieces:
        assert b"".join([events async for events in pieces]) == b"".join(framed)
    assert bench.machine.query == query


async def test_plain_answers_are_read_and_nonsense_is_the_nodes_fault(bench: Bench) -> None:
    assert await bench.calls.fetch_metrics(bench.node, ID) == ServiceMetrics(replicas=())
    with pytest.raises(NodeFault, match="cannot read"):
        await bench.calls.fetch_host_history(bench.node, since=dt.datetime.now(dt.UTC), step_seconds=10)
    with pytest.raises(NodeFault) as unknown:
        await bench.calls.fetch_requests(bench.node, ID)
    assert unknown.value.kind is Kind.NOT_FOUND


async def test_how_idle_services_are_is_read(bench: Bench) -> None:
    assert await bench.calls.fetch_activity(bench.node) == _ACTIVITY


async def test_images_are_counted_and_swept(bench: Bench) -> None:
    assert await bench.calls.fetch_images(bench.node) == ImageCache(entries=2, total_bytes=30)
    asked = SweepAsked(kept=(KeptImage(image="shop/web@sha256:a", origin=Origin.HOSTED),), idle_seconds=1.5)
    done = await bench.calls.sweep_images(bench.node, asked)
    assert (done.cache.entries, done.deleted_bytes, done.kept_in_use) == (1, 20, 1)


async def test_another_node_at_the_same_address_is_told_nothing(bench: Bench) -> None:
    other = dataclasses.replace(bench.node, id=ID)

    with pytest.raises(NodeOffline, match="is not this node"):
        await bench.calls.fetch_metrics(other, ID)


async def test_a_node_that_is_not_there_is_offline(bench: Bench) -> None:
    away = dataclasses.replace(bench.node, port=1)

    with pytest.raises(NodeOffline):
        await bench.calls.fetch_metrics(away, ID)


async def test_the_holder_of_a_nodes_certificate_may_not_ask_another(bench: Bench, tmp_path: Path) -> None:
    neighbour = make_agent(tmp_path / "neighbour")
    await neighbour.enrolment.enrol(await bench.side.token(), name="vm2", port=7190)
    calls = AgentCalls(await neighbour.files.make_client_context())

    with pytest.raises(NodeFault) as refused:
        await calls.fetch_metrics(bench.node, ID)
    await calls.close()

    assert refused.value.kind is Kind.UNAUTHENTICATED

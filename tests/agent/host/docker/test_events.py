"""The watch on events survives garbage, cut connections and an engine that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.host.docker.engine import DockerEngine
from agent.host.docker.events import EngineEvents
from agent.host.docker.session import EngineSession
from agent.model.engine import EngineEvent, EventKind
from kit.clock import SystemClock
from tests.fakes.engine_socket import EngineSocket

NOW = 1795318201_000000000


def event(action: str, *, at: int, id_: str = "c1", **changes: Any) -> bytes:
    actor = {"ID": id_, "Attributes": {"moorage.node": "n1", "exitCode": "1"}}
    record = {"Type": "container", "Action": action, "Actor": actor, "timeNano": NOW + at, **changes}
    return json.dumps(record).encode() + b"\n"


class Script:
    """Answers `/events` with one list of chunks a connection, then cuts it; the last connection stays open."""

    def __init__(self, *connections: list[bytes]) -> None:
        self.since: list[str] = []
        self._connections = list(connections)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.since.append(request.query["since"])
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in self._connections.pop(0):
            await response.write(chunk)
        if not self._connections:
            await asyncio.Event().wait()
        assert request.transport is not None
        request.transport.abort()
        return response


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[EngineSocket]:
    fake = EngineSocket(tmp_path / "engine.sock")
    async with fake.serve():
        yield fake


@pytest.fixture
async def engine(socket: EngineSocket) -> AsyncIterator[DockerEngine]:
    made = DockerEngine(socket.path, "n1", clock=SystemClock(), jitter=lambda: 0.0)
    yield made
    await made.close()


async def take(watch: AsyncGenerator[EngineEvent], count: int) -> list[EngineEvent]:
    async with asyncio.timeout(20):
        return [await anext(watch) for _ in range(count)]


async def test_garbage_and_events_without_an_id_do_not_end_the_watch(
    socket: EngineSocket, engine: DockerEngine
) -> None:
    socket.answers["/events"] = Script(
        [
            b"{not json\n",
            b"\xff\xfe\x00\n",
            event("start", at=1, Actor={"Attributes": {"moorage.node": "n1"}}),
            event("start", at=2, Actor=None),
            event("start", at=3)[:20],
            event("start", at=3)[20:],
            b"[]\n",
            event("die", at=4),
        ]
    )
    async with contextlib.aclosing(engine.watch_events()) as watch:
        got = await take(watch, 3)
    assert [item.kind for item in got] == [EventKind.RESYNC, EventKind.CONTAINER_STARTED, EventKind.CONTAINER_DIED]
    assert len([path for path in socket.asked if path.endswith("/events")]) == 1


async def test_a_cut_watch_resumes_where_it_was_and_tells_nothing_twice(
    socket: EngineSocket, engine: DockerEngine
) -> None:
    script = Script(
        [event("create", at=1), event("start", at=5)],
        [],
        [event("start", at=5), event("die", at=5, id_="c2"), event("die", at=9)],
    )
    socket.answers["/events"] = script
    async with contextlib.aclosing(engine.watch_events()) as watch:
        got = await take(watch, 7)
    assert [(item.kind, item.container_id) for item in got] == [
        (EventKind.RESYNC, None),
        (EventKind.CONTAINER_OTHER, "c1"),
        (EventKind.CONTAINER_STARTED, "c1"),
        (EventKind.RESYNC, None),
        (EventKind.RESYNC, None),
        (EventKind.CONTAINER_DIED, "c2"),
        (EventKind.CONTAINER_DIED, "c1"),
    ]
    assert script.since[1:] == ["1795318201.000000005"] * 2


async def test_a_stream_that_has_died_without_a_sound_is_opened_anew(socket: EngineSocket) -> None:
    since: list[str] = []

    async def events(request: web.Request) -> web.StreamResponse:
        since.append(request.query["since"])
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event("start", at=1) if len(since) == 1 else event("start", at=1) + event("die", at=2))
        await asyncio.Event().wait()
        return response

    socket.answers["/events"] = events
    session = EngineSession(socket.path, call_timeout_seconds=10)
    silent = EngineEvents(session, node_id="n1", clock=SystemClock(), jitter=lambda: 0.0, silent_seconds=0.2)
    async with contextlib.aclosing(silent.watch(None)) as watch:
        got = await take(watch, 4)
    await session.close()
    assert [item.kind for item in got] == [
        EventKind.RESYNC,
        EventKind.CONTAINER_STARTED,
        EventKind.RESYNC,
        EventKind.CONTAINER_DIED,
    ]
    assert since[1] == "1795318201.000000001"


async def test_a_watch_waits_for_an_engine_that_is_away_and_renegotiates(tmp_path: Path) -> None:
    fake = EngineSocket(tmp_path / "engine.sock")
    fake.answers["/events"] = Script([event("start", at=1)], [event("die", at=2)])
    engine = DockerEngine(fake.path, "n1", clock=SystemClock(), jitter=lambda: 0.0)
    async with contextlib.aclosing(engine.watch_events()) as watch:
        first = asyncio.ensure_future(take(watch, 2))
        await asyncio.sleep(0.1)
        assert not first.done()
        async with fake.serve():
            assert [item.kind for item in await first] == [EventKind.RESYNC, EventKind.CONTAINER_STARTED]
        fake.api_version = "1.47"
        second = asyncio.ensure_future(take(watch, 2))
        await asyncio.sleep(0.1)
        async with fake.serve():
            assert [item.kind for item in await second] == [EventKind.RESYNC, EventKind.CONTAINER_DIED]
            assert "/v1.47/events" in fake.asked
            await watch.aclose()
    await engine.close()

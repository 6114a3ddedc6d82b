"""Logs of services over HTTP: who may read them, what a stream is made of, and how it is resumed."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import ClientSession

from controld.api.v1.logs import UNREACHABLE_HEADER
from controld.model.role import Role
from controld.store.replicas import ReplicaStore
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import Ground, make_ground
from tests.fakes.agents import FakeLog

ADMIN = bearer(SETUP_SECRET)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
async def ground(app: App) -> Ground:
    """A service with a replica on each of two nodes."""
    made = await make_ground(app, nodes=2)
    await made.make_healthy(await made.deploy())
    first = (await made.replicas())[0]
    other = next(node for node in made.nodes if node != first.node_id)
    async with app.database.write() as tx:
        copy = dataclasses.replace(first, id="0" * 8 + first.id[8:], node_id=other, index=1)
        await ReplicaStore().insert(tx, [copy])
    for node in made.nodes:
        app.agents.logs[node] = FakeLog()
    return made


def write(ground: Ground, count: int) -> list[str]:
    """So many lines, by turns on the nodes, stamped one after the other."""
    for number in range(count):
        ground.app.agents.logs[ground.nodes[number % 2]].write(f"line {number}", at=NOW + dt.timedelta(seconds=number))
    return [f"line {number}" for number in range(count)]


def path(ground: Ground, rest: str = "") -> str:
    return f"/v1/services/{ground.service.id}/logs{rest}"


async def read_events(
    http: ClientSession, url: str, *, until: Callable[[list[bytes]], bool], headers: dict[str, str] | None = None
) -> list[bytes]:
    """The events of a stream without their blank lines, until they suffice."""
    found: list[bytes] = []
    async with asyncio.timeout(20), http.get(url, headers={**ADMIN, **(headers or {})}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-cache"
        async for event in _events(answer.content.iter_any()):
            found.append(event)
            if until(found):
                return found
    return found


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *events, rest = (rest + chunk).split(b"\n\n")
        for event in events:
            if event != b":":
                yield event


def count(wanted: int) -> Callable[[list[bytes]], bool]:
    """Whether there are so many."""
    return lambda found: len(found) == wanted


def data_of(event: bytes) -> str:
    return event.split(b"data: ", 1)[1].decode()


def id_of(event: bytes) -> str:
    assert event.startswith(b"id: ")
    return event.split(b"\n")[0][4:].decode()


async def test_the_last_200_lines_of_all_nodes_are_told_oldest_first(app: App, ground: Ground) -> None:
    async with app.serve() as http:
        assert await ask(http, "GET", path(ground), headers=ADMIN) == (200, [])
        lines = write(ground, 250)
        assert await ask(http, "GET", path(ground), headers=ADMIN) == (200, lines[-200:])


async def test_a_node_that_is_away_is_named_and_fails_the_ask_only_when_it_is_the_only_one(
    app: App, ground: Ground
) -> None:
    lines = write(ground, 4)
    async with app.serve() as http:
        app.agents.offline.add(ground.nodes[1])
        async with http.get(path(ground), headers=ADMIN) as answer:
            assert await answer.json() == lines[::2]
            assert answer.headers[UNREACHABLE_HEADER] == "node-2"
        app.agents.offline.add(ground.nodes[0])
        status, body = await ask(http, "GET", path(ground), headers=ADMIN)
        assert (status, body["code"]) == (503, "node_offline")


async def test_logs_are_read_where_the_service_was_too(app: App, ground: Ground) -> None:
    lines = write(ground, 12)
    replicas = await ground.replicas()
    async with app.serve() as http:
        for left in ([replicas[0]], replicas):
            async with app.database.write() as tx:
                await ReplicaStore().delete(tx, left, at=NOW)
            assert await ask(http, "GET", path(ground), headers=ADMIN) == (200, lines)
            events = await read_events(http, path(ground, "/stream?tail=8"), until=count(8))
            assert [data_of(event) for event in events] == lines[-8:]


async def test_logs_are_for_operators_and_unknown_to_others(app: App, ground: Ground) -> None:
    project = ground.service.project_id
    async with app.serve() as http:
        for rest in ("", "/stream"):
            viewer = bearer(await app.token_of(f"vera{len(rest)}", project_id=project, role=Role.VIEWER))
            foreign = bearer(await app.token_of(f"fay{len(rest)}"))
            assert (await ask(http, "GET", path(ground, rest), headers=viewer))[0] == 403
            assert (await ask(http, "GET", path(ground, rest), headers=foreign))[0] == 404
            assert (await ask(http, "GET", f"/v1/services/{ground.nodes[0]}/logs{rest}", headers=ADMIN))[0] == 404


async def test_a_stream_begins_with_the_backlog_and_every_event_can_be_resumed_from(app: App, ground: Ground) -> None:
    lines = write(ground, 12)
    async with app.serve() as http:
        events = await read_events(http, path(ground, "/stream?tail=8"), until=lambda found: len(found) == 8)
        assert [data_of(event) for event in events] == lines[-8:]
        for number in (0, 3, 6):
            last = {"Last-Event-ID": id_of(events[number])}
            again = await read_events(http, path(ground, "/stream"), until=count(7 - number), headers=last)
            assert [data_of(event) for event in again] == lines[4 + number + 1 :]
        since = f"/stream?since={(NOW + dt.timedelta(seconds=9)).isoformat().replace('+00:00', 'Z')}"
        late = await read_events(http, path(ground, since), until=lambda found: len(found) == 3)
        assert [data_of(event) for event in late] == lines[9:]


async def test_live_lines_empty_ones_and_words_of_the_stream_are_events(app: App, ground: Ground) -> None:
    write(ground, 1)
    log = app.agents.logs[ground.nodes[0]]

    def act(found: list[bytes]) -> bool:
        loop = asyncio.get_running_loop()
        if len(found) == 1:
            loop.call_later(0.05, lambda: log.write("", at=NOW + dt.timedelta(seconds=90)))
        if len(found) == 2:
            loop.call_later(0.05, log.drop, 7)
        return len(found) == 3

    async with app.serve() as http:
        first, second, third = await read_events(http, path(ground, "/stream"), until=act)
        assert data_of(first) == "line 0"
        assert second == f"id: {id_of(second)}\ndata: ".encode()
        assert third == f"id: {id_of(second)}\nevent: dropped\ndata: 7 lines dropped".encode()


async def test_a_node_that_is_away_is_told_in_the_stream(app: App, ground: Ground) -> None:
    write(ground, 2)
    app.agents.offline.add(ground.nodes[1])
    async with app.serve() as http:
        line, notice = await read_events(http, path(ground, "/stream"), until=lambda found: len(found) == 2)
        assert data_of(line) == "line 0"
        assert b"event: notice" in notice
        assert "node-2" in data_of(notice)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?tail=-1", {}),
        ("?tail=10001", {}),
        ("?tail=x", {}),
        ("?since=yesterday", {}),
        ("", {"Last-Event-ID": "nonsense"}),
    ],
)
async def test_a_place_that_is_none_is_refused(app: App, ground: Ground, query: str, headers: dict[str, str]) -> None:
    async with app.serve() as http:
        status, body = await ask(http, "GET", path(ground, f"/stream{query}"), headers={**ADMIN, **headers})
        assert status == 400
        assert body["code"] == "invalid"


async def test_streams_are_limited_and_a_viewer_who_leaves_makes_room(app: App, ground: Ground) -> None:
    write(ground, 1)
    async with app.serve() as http:
        held = [await http.get(path(ground, "/stream"), headers=ADMIN) for _ in range(3)]
        for answer in held:
            await answer.content.readuntil(b"\n\n")
        status, body = await ask(http, "GET", path(ground, "/stream"), headers=ADMIN)
        assert (status, body["code"]) == (429, "too_many_streams")
        for answer in held:
            answer.close()
        async with asyncio.timeout(10):
            while True:
                if app.logs.streams == 0:
                    break
                await asyncio.sleep(0.01)
        assert await read_events(http, path(ground, "/stream"), until=bool)
    assert [log.readers for log in app.agents.logs.values()] == [0, 0]

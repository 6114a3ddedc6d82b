"""Logs over real HTTP: many records a write, a real engine's containers, and viewers that leave in ugly ways."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from agent.api.envelope import render_fault
from agent.api.logs import LogRows
from agent.core.logs import Logs
from agent.host.docker.engine import DockerEngine
from kit.clock import SystemClock
from kit.http.surface import Surface
from kit.tasks import Tasks
from tests.fixtures.engine import SpecMaker
from tests.serving import running, session_to
from tests.waiting import eventually
from wire.agent.logs import LinesDropped, LogLine, LogRecord, decode_record


class Bench:
    """The agent's logs of a real engine, served on loopback."""

    def __init__(self, engine: DockerEngine, logs: Logs, session: ClientSession, *, port: int) -> None:
        self.engine = engine
        self.logs = logs
        self.session = session
        self.port = port
        self.service = secrets.token_hex(4)

    async def run(self, make_spec: SpecMaker, command: str, *, replica: str = "r-1") -> str:
        labels = (("moorage.replica", replica), ("moorage.service", self.service))
        id_ = await self.engine.create_container(make_spec(labels=labels, command=("sh", "-c", command)))
        await self.engine.start_container(id_)
        return id_

    async def read(self, **query: object) -> list[LogRecord]:
        params = {"service_id": self.service, **{name: str(value) for name, value in query.items()}}
        async with self.session.get("/logs", params=params) as response:
            assert response.status == 200
            return [decode_record(line) for line in (await response.read()).splitlines() if line]

    @asynccontextmanager
    async def follow(self, **query: object) -> AsyncIterator[AsyncIterator[LogRecord]]:
        params = {"service_id": self.service, "follow": "true", **{name: str(value) for name, value in query.items()}}
        async with self.session.get("/logs", params=params) as response:
            assert response.status == 200
            yield _records(response.content)


async def _records(content: Any) -> AsyncIterator[LogRecord]:
    while line := await content.readline():
        if line.strip():
            yield decode_record(line)


async def _nobody(request: web.Request) -> str:
    return "controld"


@pytest.fixture
async def bench(real_engine: DockerEngine) -> AsyncIterator[Bench]:
    tasks = Tasks("test")
    logs = Logs(real_engine, tasks=tasks, clock=SystemClock(), viewer_bytes=256 * 1024)

    async def carry() -> None:
        async for event in real_engine.watch_events():
            logs.note_event(event)

    tasks.start("events", carry())
    surface = Surface(
        name="agent",
        title="t",
        version="1",
        claims=("/logs",),
        routes=LogRows(logs, clock=SystemClock()).routes(),
        authenticate=_nobody,
        render_fault=render_fault,
    )
    async with running(surface) as server, session_to(server) as session:
        yield Bench(real_engine, logs, session, port=server.port)
    await tasks.close()


def texts(records: list[LogRecord]) -> list[str]:
    return [record.text for record in records if isinstance(record, LogLine)]


async def ended(bench: Bench, make_spec: SpecMaker, command: str) -> None:
    """Run a container until it has written everything and sleeps."""
    await bench.run(make_spec, f"{command}; sleep 0.5; echo END; sleep 600")
    async with asyncio.timeout(60):
        while True:
            if texts(await bench.read(tail=1)) == ["END"]:
                return
            await asyncio.sleep(0.1)


async def test_a_bad_cursor_is_refused_before_the_stream(bench: Bench) -> None:
    async with bench.session.get("/logs", params={"service_id": "s", "after": "nonsense"}) as response:
        assert response.status == 400
        assert (await response.json())["code"] == "bad_cursor"


async def test_every_line_of_a_fast_container_can_be_resumed_from(bench: Bench, make_spec: SpecMaker) -> None:
    await ended(bench, make_spec, "seq 1 3000; seq 3001 6000 >&2")
    everything = await bench.read(since="2020-01-01T00:00:00Z")
    lines = [record for record in everything if isinstance(record, LogLine) and record.text != "END"]

    assert sorted(int(line.text) for line in lines) == list(range(1, 6001))
    assert [int(line.text) for line in lines if line.stream == "stdout"] == list(range(1, 3001))
    for number in (0, 1, 777, 2999, 3000, 4500, 5999):
        behind = await bench.read(after=lines[number].id)
        assert texts(behind) == texts(everything[number + 1 :])
    last = await bench.read(tail=7)
    assert texts(last) == texts(everything[-7:])
    assert texts(await bench.read(after=getattr(last[0], "id", ""))) == texts(last[1:])


async def test_a_stream_that_is_cut_again_and_again_loses_and_repeats_nothing(
    bench: Bench, make_spec: SpecMaker
) -> None:
    command = (
        "i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo $i; [ $((i % 50)) -eq 0 ] && usleep 5000; done; sleep 600"
    )
    await bench.run(make_spec, command)
    seen: list[int] = []
    query: dict[str, object] = {"since": "2020-01-01T00:00:00Z"}
    async with asyncio.timeout(60):
        cuts = itertools.cycle([1, 300, 2, 87, 1000, 64, 411])
        while len(seen) < 4000:
            cut = next(cuts)
            async with bench.follow(**query) as records:
                async for record in records:
                    assert isinstance(record, LogLine)
                    seen.append(int(record.text))
                    query = {"after": record.id}
                    cut -= 1
                    if cut == 0 or len(seen) >= 4000:
                        break

    assert seen == list(range(1, 4001))


async def test_lines_with_nul_invalid_utf_8_and_10_mb_are_told_as_safe_text(bench: Bench, make_spec: SpecMaker) -> None:
    long = "head -c 10000000 /dev/zero | tr '\\0' a; echo"
    await ended(bench, make_spec, f"printf 'a\\000b\\n'; printf 'c\\377d\\r\\n'; {long}")
    lines = [record for record in await bench.read(since="2020-01-01T00:00:00Z") if isinstance(record, LogLine)]

    assert [line.text for line in lines[:2]] == ["a�b", "c�d"]
    pieces = lines[2:-1]
    assert sum(len(piece.text) for piece in pieces) == 10_000_000
    assert all(len(piece.text) <= 16 * 1024 for piece in pieces)
    assert [piece.partial for piece in pieces] == [True] * (len(pieces) - 1) + [False]


async def test_twenty_viewers_dropped_in_ugly_ways_share_a_follower_and_leave_none(
    bench: Bench, make_spec: SpecMaker
) -> None:
    await bench.run(make_spec, "while true; do echo tick; usleep 20000; done")
    request = f"GET /logs?service_id={bench.service}&follow=true HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    sockets = []
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        writer.write(request)
        sockets.append((reader, writer))
    for reader, _ in sockets:
        await asyncio.wait_for(reader.readuntil(b"tick"), 20)
    await eventually(lambda: bench.logs.viewers == 20)
    followers = bench.logs.followers
    for number, (_, writer) in enumerate(sockets):
        raw = writer.get_extra_info("socket")
        if number % 3 == 0:
            linger = (1).to_bytes(4, "little") + bytes(4)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if number % 3 == 1 and writer.can_write_eof():
            writer.write_eof()
        writer.transport.abort()
    await eventually(lambda: bench.logs.viewers == 0)
    await eventually(lambda: bench.logs.followers == 0)

    assert followers == 1


async def test_a_stalled_viewer_is_told_what_it_misses_while_another_gets_every_line(
    bench: Bench, make_spec: SpecMaker
) -> None:
    count, line = 40_000, "x" * 180
    await bench.run(
        make_spec, f"sleep 1; i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo $i {line}; done; sleep 600"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.port, limit=64 * 1024)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
    writer.write(f"GET /logs?service_id={bench.service}&follow=true HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    seen: list[int] = []
    async with asyncio.timeout(100), bench.follow() as records:
        async for record in records:
            assert isinstance(record, LogLine)
            seen.append(int(record.text.split()[0]))
            if len(seen) == count:
                break
    had, missed = 0, 0
    buffered = b""
    async with asyncio.timeout(60):
        while had + missed < count:
            *lines, buffered = (buffered + await reader.read(1 << 16)).split(b"\n")
            for raw in lines:
                if raw.startswith(b"{"):
                    told = decode_record(raw)
                    had += isinstance(told, LogLine)
                    missed += told.count if isinstance(told, LinesDropped) else 0
    writer.transport.abort()

    assert seen == list(range(1, count + 1))
    assert had + missed == count
    assert missed > 0


async def test_a_restarted_container_and_a_new_replica_join_a_running_stream(
    bench: Bench, make_spec: SpecMaker
) -> None:
    first = await bench.run(make_spec, "echo one; sleep 600")
    found: list[str] = []
    async with asyncio.timeout(30), bench.follow() as records:
        async for record in records:
            assert isinstance(record, LogLine)
            found.append(f"{record.replica_id} {record.text}")
            if len(found) == 1:
                await bench.engine.stop_container(first, grace_seconds=0)
                await bench.engine.start_container(first)
            if len(found) == 2:
                await bench.run(make_spec, "echo two; sleep 600", replica="r-2")
            if len(found) == 3:
                break

    assert found == ["r-1 one", "r-1 one", "r-2 two"]

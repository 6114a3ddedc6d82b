"""Frames keep what they can of every line, and a stream stays alive, bounded and its reader's own."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientError, ClientTimeout, web

from kit.faults import Fault, Forbidden, NotFound, Unauthenticated
from kit.http.sse import EventStream, frame
from kit.http.surface import Ask, Route
from tests.fakes.clock import FakeClock
from tests.kit.http.plain import GOOD, surface
from tests.serving import serve


@pytest.mark.parametrize(
    ("data", "framed"),
    [
        ("a", b"data: a\n\n"),
        (b"a", b"data: a\n\n"),
        ("", b"data: \n\n"),
        ("a\r", b"data: a\n\n"),
        ("a\r\nb", b"data: a\ndata: b\n\n"),
        ("a\rb", b"data: a\ndata: b\n\n"),
        ("a\n\nb", b"data: a\ndata: \ndata: b\n\n"),
        ("a\0b", b"data: a\0b\n\n"),
        (b"\xff", b"data: \xff\n\n"),
    ],
)
def test_data_is_framed_line_by_line(data: str | bytes, framed: bytes) -> None:
    assert frame(data) == framed


def test_an_id_and_a_name_come_ahead_of_the_data() -> None:
    assert frame("a", id="7", event="done") == b"id: 7\nevent: done\ndata: a\n\n"


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_an_id_or_a_name_that_would_break_the_frame_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="line break or NUL"):
        frame("a", id=bad)
    with pytest.raises(ValueError, match="line break or NUL"):
        frame("a", event=bad)


def _stream(handler_clock: FakeClock, events: asyncio.Queue[bytes | None]) -> Route:
    async def follow(ask: Ask) -> web.StreamResponse:
        async with EventStream(ask, clock=handler_clock) as stream:
            while (event := await events.get()) is not None:
                await stream.send(event)
        return stream.response

    return Route(
        method="GET", path="/plain/x", access="public", handler=follow, summary="x", stream="text/event-stream"
    )


async def test_a_stream_has_the_headers_that_keep_proxies_from_holding_it_back() -> None:
    events: asyncio.Queue[bytes | None] = asyncio.Queue()
    async with serve(surface(_stream(FakeClock(), events))) as http, http.get("/plain/x") as answer:
        assert answer.content_type == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "X-Request-Id" in answer.headers
        events.put_nowait(None)
        assert await answer.read() == b""


async def test_head_of_a_stream_answers_its_headers_and_ends() -> None:
    async with serve(surface(_stream(FakeClock(), asyncio.Queue()))) as http, http.head("/plain/x") as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert await answer.read() == b""


async def test_an_idle_stream_gets_a_comment_every_fifteen_seconds_since_the_last_event() -> None:
    clock, events = FakeClock(), asyncio.Queue[bytes | None]()
    async with serve(surface(_stream(clock, events))) as http, http.get("/plain/x") as answer:
        await clock.advance(10)
        events.put_nowait(frame("a"))
        assert await answer.content.readexactly(len(frame("a"))) == frame("a")
        await clock.advance(14.9)
        events.put_nowait(frame("b"))
        assert await answer.content.readexactly(len(frame("b"))) == frame("b")
        await clock.advance(15)
        assert await answer.content.readexactly(3) == b":\n\n"
        await clock.advance(15)
        assert await answer.content.readexactly(3) == b":\n\n"
        events.put_nowait(None)


async def test_a_slow_reader_holds_up_only_its_own_stream() -> None:
    sent = {"slow": 0, "quick": 0}

    async def flood(ask: Ask) -> web.StreamResponse:
        async with EventStream(ask, clock=FakeClock()) as stream:
            for _ in range(200):
                await stream.send(frame(b"x" * 65_536))
                sent[ask.path["who"]] += 1
        return stream.response

    route = Route(
        method="GET", path="/plain/{who}", access="public", handler=flood, summary="x", stream="text/event-stream"
    )
    async with serve(surface(route)) as http:
        slow = await http.get("/plain/slow", timeout=ClientTimeout(total=None))
        async with http.get("/plain/quick") as quick:
            assert len(await quick.read()) == 200 * len(frame(b"x" * 65_536))
        assert sent["quick"] == 200
        assert sent["slow"] < 200
        slow.close()


async def test_nothing_is_left_running_when_the_client_goes() -> None:
    ended = asyncio.Event()

    async def follow(ask: Ask) -> web.StreamResponse:
        try:
            async with EventStream(ask, clock=FakeClock()) as stream:
                await stream.send(frame("a"))
                await asyncio.Event().wait()
        finally:
            ended.set()
        return stream.response

    route = Route(
        method="GET", path="/plain/x", access="public", handler=follow, summary="x", stream="text/event-stream"
    )
    async with serve(surface(route)) as http:
        answer = await http.get("/plain/x")
        await answer.content.readline()
        answer.close()
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0)
        assert not [task for task in asyncio.all_tasks() if "keep-alive" in task.get_name()]


@pytest.mark.parametrize("fault", [Unauthenticated("revoked"), Forbidden("role taken"), NotFound("service gone")])
async def test_a_stream_is_cut_when_its_caller_is_refused_meanwhile(fault: Fault) -> None:
    clock, refused, ended = FakeClock(), asyncio.Event(), asyncio.Event()

    async def admit(caller: object) -> None:
        assert caller == "ada"
        if refused.is_set():
            raise fault

    async def handler(ask: Ask) -> web.StreamResponse:
        try:
            async with EventStream(ask, clock=clock, admit=admit) as stream:
                await asyncio.Event().wait()
                return stream.response
        finally:
            ended.set()

    route = Route(method="GET", path="/plain/x", access="any", handler=handler, summary="x", stream="text/event-stream")
    async with serve(surface(route)) as http, http.get("/plain/x", headers=GOOD) as answer:
        await clock.advance(15)
        assert await answer.content.readuntil(b"\n\n") == b":\n\n"
        refused.set()
        await clock.advance(15)
        async with asyncio.timeout(5):
            await ended.wait()
            with pytest.raises(ClientError):
                await answer.read()

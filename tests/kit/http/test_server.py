"""One server over many surfaces: who answers, what is cancelled, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from aiohttp import ClientConnectionError, ClientSession, WSMsgType, web

from kit.clock import SystemClock
from kit.faults import Conflict, Limited
from kit.http.sse import EventStream, frame
from kit.http.surface import Answer, Ask, Route
from tests.kit.http.plain import GOOD, surface
from tests.serving import running, serve, session_to


class Page(msgspec.Struct):
    limit: int = 10


class Gate:
    """A handler's stopping place: the test sees it arrive and lets it go on."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.opened = asyncio.Event()
        self.finished = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _: Ask) -> str:
        self.arrived.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.finished.set()
        return "done"


def _route(handler: Callable[[Ask], object], path: str = "/plain/x", *, method: str = "GET", **more: object) -> Route:
    named = {"access": "public", "summary": "x", **more}
    return Route(method=method, path=path, handler=handler, **named)  # type: ignore[arg-type]


async def _say_surface(ask: Ask) -> str:
    return ask.surface.name


async def test_the_longest_claim_answers_and_words_its_own_unknown_paths() -> None:
    native = surface(_route(_say_surface, "/v1/x"), claim="/v1")
    apps = surface(_route(_say_surface, "/v1/apps"), claim="/v1/apps", response_headers={"X-Whose": "apps"})
    async with serve(native, apps) as http:
        async with http.get("/v1/x") as answer:
            assert await answer.json() == "v1"
        async with http.get("/v1/apps") as answer:
            assert await answer.json() == "v1/apps"
        async with http.get("/v1/apps/unknown") as answer:
            assert (answer.status, answer.headers["X-Whose"]) == (404, "apps")
        async with http.get("/unclaimed") as answer:
            assert (answer.status, await answer.read()) == (404, b"")


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"\x82\x8c\0\0\0\0yes\n\r\n\r\n", "method"),
        (b"GET /plain/x HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n", "Content-Type"),
        (b"GET /plain/x HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "header"),
    ],
)
async def test_what_is_not_http_is_refused_in_the_surfaces_words_and_leaves_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture, sent: bytes, says: str
) -> None:
    async with running(surface(_route(_say_surface))) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
        writer.close()
    told = msgspec.json.decode(body)
    assert head.split(b" ")[1] == b"400"
    assert b"X-Request-Id" in head
    assert told["code"] == "bad_syntax"
    assert told["message"].startswith("cannot read the request: ")
    assert says.lower() in told["message"].lower()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_surface_may_answer_what_no_route_does() -> None:
    async def show_page(_: Ask) -> Answer:
        return Answer(200, b"<html>", {"Content-Type": "text/html"})

    async with serve(surface(claim="/", not_found=show_page)) as http, http.get("/any/where") as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "text/html", b"<html>")


async def test_results_become_bodies_by_their_kind() -> None:
    results = {
        "struct": Page(),
        "list": [Page()],
        "none": None,
        "answer": Answer(202, Page(), {"Location": "/there"}),
        "bytes": Answer(200, b"raw", {"Content-Type": "application/octet-stream"}),
        "response": web.Response(status=207, text="own"),
    }

    async def get_result(ask: Ask) -> object:
        return results[ask.path["kind"]]

    seen = {}
    async with serve(surface(_route(get_result, "/plain/{kind}", status=201))) as http:
        for kind in results:
            async with http.get(f"/plain/{kind}") as answer:
                assert answer.headers["X-Frame-Options"] == "DENY"
                seen[kind] = (answer.status, await answer.text(), answer.headers.get("Location"))
    assert seen == {
        "struct": (201, '{"limit":10}', None),
        "list": (201, '[{"limit":10}]', None),
        "none": (201, "", None),
        "answer": (202, '{"limit":10}', "/there"),
        "bytes": (200, "raw", None),
        "response": (207, "own", None),
    }


async def test_a_large_answer_and_a_connection_not_kept_alive_are_served_whole() -> None:
    async def get_large(_: Ask) -> str:
        return "x" * 1_000_000

    async with serve(surface(_route(get_large))) as http:
        async with http.get("/plain/x") as answer:
            assert len(await answer.json()) == 1_000_000
        async with http.get("/plain/x", headers={"Connection": "close"}) as answer:
            assert len(await answer.json()) == 1_000_000


async def test_the_query_is_decoded_and_a_bad_one_refused() -> None:
    async def get_limit(ask: Ask) -> int:
        limit: int = ask.query.limit
        return limit

    async with serve(surface(_route(get_limit, query=Page))) as http:
        async with http.get("/plain/x?limit=3") as answer:
            assert await answer.json() == 3
        async with http.get("/plain/x?limit=many") as answer:
            assert answer.status == 400


@pytest.mark.parametrize(
    ("forwarded", "peer"), [("10.1.2.3, 10.9.9.9", "10.1.2.3"), ("nonsense", "127.0.0.1"), (None, "127.0.0.1")]
)
async def test_a_forwarded_address_counts_when_the_peer_is_this_machine(forwarded: str | None, peer: str) -> None:
    async def get_peer(ask: Ask) -> str:
        return ask.peer

    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with serve(surface(_route(get_peer))) as http, http.get("/plain/x", headers=headers) as answer:
        assert await answer.json() == peer


async def test_the_limiter_runs_before_authentication_and_spares_routes_that_say_so() -> None:
    def refuse(_: web.Request) -> None:
        raise Limited("cannot answer: too many requests", retry_after_seconds=9)

    routes = (
        _route(_say_surface, "/plain/x", access="viewer"),
        _route(_say_surface, "/plain/free", throttled=False),
    )
    async with serve(surface(*routes, before=refuse)) as http:
        async with http.get("/plain/x") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "9")
        async with http.get("/plain/free") as answer:
            assert answer.status == 200


async def test_a_streamed_body_passes_without_a_cap() -> None:
    async def count(ask: Ask) -> int:
        return sum([len(piece) async for piece in ask.request.content.iter_any()])

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    route = _route(count, method="PUT", raw_body="application/octet-stream")
    async with serve(surface(route)) as http, http.put("/plain/x", data=pieces(), expect100=True) as answer:
        assert await answer.json() == 64 * 65_536


async def test_a_client_that_waits_to_send_is_refused_before_it_does() -> None:
    sent = []

    async def pieces() -> AsyncIterator[bytes]:
        sent.append(True)
        yield b"x"

    route = _route(_say_surface, method="PUT", raw_body="application/octet-stream", access="operator")
    async with serve(surface(route)) as http, http.put("/plain/x", data=pieces(), expect100=True) as answer:
        assert answer.status == 401
    assert not sent


async def test_a_get_is_cancelled_when_its_client_goes() -> None:
    gate = Gate()
    async with serve(surface(_route(gate))) as http:
        await _ask_and_leave(http, "GET", gate)
        await asyncio.wait_for(gate.cancelled.wait(), 5)


async def test_a_change_runs_to_its_end_when_its_client_goes() -> None:
    gate = Gate()
    async with serve(surface(_route(gate, method="POST"))) as http:
        await _ask_and_leave(http, "POST", gate)
        await asyncio.sleep(0.05)
        gate.opened.set()
        await asyncio.wait_for(gate.finished.wait(), 5)
    assert not gate.cancelled.is_set()


async def test_a_bug_in_a_change_whose_client_has_gone_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()

    async def fail(ask: Ask) -> None:
        await gate(ask)
        raise KeyError("late")

    with caplog.at_level(logging.ERROR):
        async with serve(surface(_route(fail, method="POST"))) as http:
            await _ask_and_leave(http, "POST", gate)
            await asyncio.sleep(0.05)
            gate.opened.set()
            await asyncio.wait_for(gate.finished.wait(), 5)
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["'late'"]


async def test_an_upload_that_is_cut_off_reaches_its_handler_and_is_no_failure_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def receive(ask: Ask) -> None:
        try:
            async for _ in ask.request.content.iter_any():
                started.set()
        finally:
            ended.set()

    route = _route(receive, method="PUT", raw_body="application/octet-stream")
    with caplog.at_level(logging.WARNING):
        async with running(surface(route)) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"PUT /plain/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
            await asyncio.wait_for(started.wait(), 5)
            writer.transport.abort()
            await asyncio.wait_for(ended.wait(), 5)
    assert not caplog.records


async def test_stopping_lets_a_request_finish() -> None:
    gate = Gate()
    async with running(surface(_route(gate))) as server, session_to(server) as http:
        asking = asyncio.ensure_future(http.get("/plain/x"))
        await gate.arrived.wait()
        stopping = asyncio.ensure_future(server.stop(5))
        await asyncio.sleep(0.05)
        assert not stopping.done()
        gate.opened.set()
        async with await asking as answer:
            assert await answer.json() == "done"
        await stopping


async def test_stopping_cancels_what_outlives_its_grace() -> None:
    gate = Gate()
    async with running(surface(_route(gate))) as server, session_to(server) as http:
        asking = asyncio.ensure_future(http.get("/plain/x"))
        await gate.arrived.wait()
        await asyncio.wait_for(server.stop(0.1), 4)
        assert gate.cancelled.is_set()
        with pytest.raises(ClientConnectionError):
            await asking


async def test_stopping_ends_an_event_stream_in_good_order() -> None:
    async def follow(ask: Ask) -> web.StreamResponse:
        async with EventStream(ask, clock=SystemClock()) as stream:
            await stream.send(frame("first"))
            await asyncio.Event().wait()
        return stream.response

    routes = surface(_route(follow, stream="text/event-stream"))
    async with running(routes) as server, session_to(server) as http, http.get("/plain/x") as answer:
        assert await answer.content.readline() == b"data: first\n"
        await asyncio.wait_for(server.stop(5), 4)
        assert await answer.content.read() == b"\n"


async def test_stopping_closes_a_websocket_as_going_away() -> None:
    async def echo(ask: Ask) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await ask.open(websocket)
        async for message in websocket:
            await websocket.send_str(message.data)
        return websocket

    routes = surface(_route(echo, stream="websocket"))
    async with running(routes) as server, session_to(server) as http, http.ws_connect("/plain/x") as websocket:
        await websocket.send_str("hello")
        assert await websocket.receive_str() == "hello"
        stopping = asyncio.ensure_future(server.stop(5))
        closed = await websocket.receive()
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, 1001)
        await asyncio.wait_for(stopping, 4)


async def test_a_websocket_path_refuses_other_asks() -> None:
    async with serve(surface(_route(_say_surface, stream="websocket"))) as http, http.get("/plain/x") as answer:
        assert answer.status == 400


async def test_a_fault_ahead_of_a_stream_is_worded_and_one_inside_ends_it() -> None:
    async def follow(ask: Ask) -> web.StreamResponse:
        if ask.path["when"] == "ahead":
            raise Conflict("cannot follow: it has not begun")
        async with EventStream(ask, clock=SystemClock()) as stream:
            await stream.send(frame("first"))
            raise Conflict("cannot follow: it has ended")

    async with serve(surface(_route(follow, "/plain/{when}", stream="text/event-stream"))) as http:
        async with http.get("/plain/ahead") as answer:
            assert answer.status == 409
        async with http.get("/plain/inside") as answer:
            assert answer.status == 200
            assert await answer.read() == b"data: first\n\n"


async def test_the_caller_is_who_the_surface_recognised() -> None:
    async def get_caller(ask: Ask) -> str:
        return str(ask.caller)

    async with serve(surface(_route(get_caller, access="viewer")), headers=GOOD) as http:
        async with http.get("/plain/x") as answer:
            assert await answer.json() == "ada"


async def test_at_debug_the_log_has_a_line_for_each_request_without_its_query(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, logger="kit.http"):
        async with serve(surface(_route(_say_surface))) as http:
            for path in ("/plain/x?token=secret", "/plain/unknown?token=secret"):
                async with http.get(path):
                    pass
    told = [
        (record.getMessage(), vars(record)["path"]) for record in caplog.records if record.name == "kit.http.answers"
    ]
    assert told == [("request answered", "/plain/x"), ("request refused", "/plain/unknown")]


async def test_a_broken_request_line_is_refused_without_harm() -> None:
    async with running(surface(_route(_say_surface))) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\x00\x01 nonsense\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 400")
        writer.close()
        async with session_to(server) as http, http.get("/plain/x") as answer:
            assert answer.status == 200


async def _ask_and_leave(http: ClientSession, method: str, gate: Gate) -> None:
    asking = asyncio.ensure_future(http.request(method, "/plain/x"))
    await gate.arrived.wait()
    asking.cancel()
    await asyncio.wait([asking])

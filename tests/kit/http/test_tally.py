"""What a server answered is counted by route, whatever the paths that were asked."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import Metric

from kit.clock import SystemClock
from kit.exposition import render_exposition
from kit.faults import Conflict
from kit.http.sse import EventStream, frame
from kit.http.surface import Ask, Route
from kit.http.tally import Tally
from tests.kit.http.plain import FOREIGN, GOOD, surface
from tests.lint_exposition import read_exposition
from tests.serving import running, session_to
from tests.waiting import eventually

_ID = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"


def _read(tally: Tally) -> dict[str, Metric]:
    return read_exposition(render_exposition(tally.tell("moorage_test")).decode())


def _count(tally: Tally) -> dict[tuple[str, str], float]:
    samples = _read(tally)["moorage_test_http_requests_total"].samples
    return {(each.labels["route"], each.labels["status"]): each.value for each in samples}


async def _get(ask: Ask) -> str:
    if ask.path["thing_id"] == _ID:
        raise Conflict("cannot: it is this one")
    return "fine"


_THING = Route(method="GET", path="/plain/things/{thing_id}", access="viewer", handler=_get, summary="x")


async def test_answers_are_counted_by_the_routes_template_and_their_status() -> None:
    tally = Tally()
    async with running(surface(_THING), tally=tally) as server, session_to(server) as http:
        for headers in (GOOD, GOOD, FOREIGN):
            await http.get(f"/plain/things/{_ID.replace('0', '1')}", headers=headers)
        await http.get(f"/plain/things/{_ID}", headers=GOOD)
        await http.head(f"/plain/things/{_ID}", headers=GOOD)
        for path in ("/plain/made-up", "/plain/another", "/unclaimed"):
            await http.get(path, headers=GOOD)
        await http.delete(f"/plain/things/{_ID}", headers=GOOD)

    assert _count(tally) == {
        (_THING.path, "200"): 2,
        (_THING.path, "401"): 1,
        (_THING.path, "409"): 2,
        ("", "404"): 3,
        ("", "405"): 1,
    }
    took = _read(tally)["moorage_test_http_request_duration_seconds"].samples
    assert {each.labels["route"]: each.value for each in took if each.name.endswith("_count")} == {
        _THING.path: 5,
        "": 4,
    }
    assert {each.labels["surface"] for each in took} == {"plain", ""}


async def test_servers_that_share_a_tally_are_counted_together() -> None:
    tally, plain = Tally(), surface(_THING)
    for _ in range(2):
        async with running(plain, tally=tally) as server, session_to(server) as http:
            await http.get(f"/plain/things/{_ID}", headers=GOOD)
    assert _count(tally) == {(_THING.path, "409"): 2}


async def test_streams_are_counted_while_they_are_open_and_their_time_is_not() -> None:
    async def follow(ask: Ask) -> web.StreamResponse:
        async with EventStream(ask, clock=SystemClock()) as stream:
            await stream.send(frame("first"))
            await asyncio.Event().wait()
        return stream.response

    async def count() -> float:
        (sample,) = _read(tally)["moorage_test_http_streams"].samples
        return sample.value

    tally = Tally()
    route = Route(
        method="GET", path="/plain/s", access="public", handler=follow, summary="x", stream="text/event-stream"
    )
    async with running(surface(route), tally=tally) as server, session_to(server) as http:
        async with http.get("/plain/s") as one, http.get("/plain/s") as other:
            assert await one.content.readline() == await other.content.readline() == b"data: first\n"
            assert await count() == 2
        assert await eventually(count, met=lambda value: value == 0) == 0
    assert "moorage_test_http_request_duration_seconds" not in _read(tally)
    assert _count(tally) == {("/plain/s", "499"): 2}

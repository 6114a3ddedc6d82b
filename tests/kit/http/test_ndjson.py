"""Messages travel as lines, however the bytes are cut."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.http.ndjson import CONTENT_TYPE, MessageStream, split_lines
from kit.http.surface import Ask, Route
from tests.fakes.clock import FakeClock
from tests.kit.http.plain import surface
from tests.serving import serve


async def _pieces(data: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        yield data[start:end]


@given(
    lines=st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line)),
    cuts=st.lists(st.integers(0)),
)
async def test_any_cut_of_the_bytes_gives_the_same_lines(lines: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(lines)
    assert [line async for line in split_lines(_pieces(data, cuts))] == lines


async def test_empty_lines_keep_a_stream_alive_and_say_nothing() -> None:
    assert [line async for line in split_lines(_pieces(b"\n\n1\n\n2\n", []))] == [b"1", b"2"]


async def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="passes 10 bytes"):
        _ = [line async for line in split_lines(_pieces(b"x" * 100, [50]), max_line_bytes=10)]


async def test_a_silent_stream_says_every_so_often_that_it_lives() -> None:
    clock = FakeClock()
    done = asyncio.Event()

    async def tell(ask: Ask) -> object:
        async with MessageStream(ask, clock=clock, keepalive_seconds=10) as stream:
            await stream.send(b"1\n")
            await done.wait()
            return stream.response

    route = Route(method="GET", path="/plain/it", access="public", handler=tell, summary="Tell", stream=CONTENT_TYPE)
    async with serve(surface(route)) as session, session.get("/plain/it") as answer:
        assert await answer.content.readline() == b"1\n"
        await clock.advance(10)
        assert await answer.content.readline() == b"\n"
        done.set()
        assert await answer.content.read() == b""

"""Downloads are compressed for who takes that, and never end quietly ahead of their end."""

from __future__ import annotations

import asyncio

import pytest
import zstandard
from aiohttp import ClientError, ClientTimeout, web

from kit.faults import NotFound
from kit.http.download import Download, accepts
from kit.http.surface import Ask, Route
from tests.fakes.clock import FakeClock
from tests.kit.http.plain import GOOD, surface
from tests.serving import serve


def _route(*pieces: bytes | BaseException) -> Route:
    async def make(ask: Ask) -> web.StreamResponse:
        download = Download(ask, content_type="text/plain", file_name="x.log", clock=FakeClock())
        async with download:
            for piece in pieces:
                if isinstance(piece, BaseException):
                    raise piece
                await download.send(piece)
        return download.response

    return Route(method="GET", path="/plain/x", access="public", handler=make, summary="x", stream="text/plain")


async def test_a_download_is_a_file_in_pieces() -> None:
    async with serve(surface(_route(b"one\n", b"two\n"))) as http, http.get("/plain/x") as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="x.log"'
        assert "Content-Encoding" not in answer.headers
        assert await answer.read() == b"one\ntwo\n"


async def test_it_is_compressed_for_who_takes_that() -> None:
    whole = b"a line that repeats\n" * 50_000
    headers = {"Accept-Encoding": "gzip, zstd"}
    async with serve(surface(_route(whole, whole))) as http, http.get("/plain/x", headers=headers) as answer:
        assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("zstd", "Accept-Encoding")
        packed = await answer.read()
    assert len(packed) < len(whole) // 100
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == whole * 2


@pytest.mark.parametrize("why", [NotFound("a node has gone"), ConnectionResetError(), asyncio.CancelledError()])
@pytest.mark.parametrize("coding", ["identity", "zstd"])
async def test_what_breaks_off_breaks_the_connection(why: BaseException, coding: str) -> None:
    async with serve(surface(_route(b"one\n" * 100_000, why))) as http:
        with pytest.raises(ClientError):
            async with http.get("/plain/x", headers={"Accept-Encoding": coding}) as answer:
                await answer.read()


async def test_it_ends_when_its_caller_is_refused_meanwhile() -> None:
    clock, ended = FakeClock(), asyncio.Event()

    async def admit(_: object) -> None:
        raise NotFound("service gone")

    async def make(ask: Ask) -> web.StreamResponse:
        download = Download(ask, content_type="text/plain", file_name="x.log", clock=clock, admit=admit)
        try:
            async with download:
                await download.send(b"one\n")
                await asyncio.Event().wait()
        finally:
            ended.set()
        return download.response

    route = Route(method="GET", path="/plain/x", access="any", handler=make, summary="x", stream="text/plain")
    async with serve(surface(route)) as http, http.get("/plain/x", headers=GOOD) as answer:
        assert await answer.content.readline() == b"one\n"
        await clock.advance(15)
        async with asyncio.timeout(5):
            await ended.wait()
            with pytest.raises(ClientError):
                await answer.read()


async def test_a_slow_reader_holds_the_download_up() -> None:
    sent = 0

    async def make(ask: Ask) -> web.StreamResponse:
        nonlocal sent
        download = Download(ask, content_type="text/plain", file_name="x.log", clock=FakeClock())
        async with download:
            for _ in range(400):
                await download.send(b"x" * 65_536)
                sent += 1
        return download.response

    route = Route(method="GET", path="/plain/x", access="public", handler=make, summary="x", stream="text/plain")
    async with serve(surface(route)) as http:
        answer = await http.get("/plain/x", timeout=ClientTimeout(total=None))
        await answer.content.readexactly(65_536)
        held = sent
        assert held < 400
        assert len(await answer.read()) == 399 * 65_536
        assert sent == 400


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("zstd", True),
        ("gzip, deflate, br, ZSTD", True),
        ("zstd;q=0.5", True),
        ("zstd; q=1", True),
        ("zstd;q=0", False),
        ("zstd;q=0.000", False),
        ("zstd-x", False),
        ("*", False),
        ("", False),
    ],
)
def test_an_accept_encoding_header_is_read(header: str, taken: bool) -> None:
    assert accepts(header, "zstd") is taken

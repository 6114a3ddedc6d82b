"""Files over HTTP: whole and in parts, on both event loops, plain and under TLS, to clients that are slow or gone."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import pytest
import uvloop
from aiohttp import ClientSession, web

from kit import tls
from kit.faults import NotFound
from kit.http import files
from kit.http.files import send_file
from kit.http.server import Server
from kit.http.surface import Ask, Route, Surface
from kit.ids import SystemIds
from kit.tasks import Tasks
from tests.kit.http.plain import surface

_DATA = os.urandom(9 * 1024 * 1024 + 7)
_TAG = "sha256:1"
_Loops = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest) -> _Loops:
    """What makes the event loop of the server and its client."""
    made: _Loops = request.param
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(_DATA)
    return made


def _surface(path: Path) -> Surface:
    async def send(ask: Ask) -> web.StreamResponse:
        try:
            return await send_file(ask, path, tag=_TAG, headers={"Content-Type": "application/octet-stream"})
        except FileNotFoundError:
            raise NotFound("it is gone") from None

    return surface(Route(method="GET", path="/plain/file", access="public", handler=send, summary="The file"))


async def _serve(path: Path, talk: Callable[[int], Awaitable[None]], context: ssl.SSLContext | None = None) -> None:
    tasks = Tasks("test server")
    server = Server([_surface(path)], host="127.0.0.1", port=0, ids=SystemIds(), tasks=tasks, ssl=context)
    await server.start()
    try:
        async with asyncio.timeout(30):
            await talk(server.port)
    finally:
        await server.stop(1.0)
        await tasks.close()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _on(loops: _Loops, main: Coroutine[None, None, None]) -> None:
    """Run it to its end on a loop of its own."""

    def run() -> None:
        with asyncio.Runner(loop_factory=loops) as runner:
            runner.run(main)

    await asyncio.to_thread(run)


def _ask_for_file(*headers: str) -> bytes:
    return "\r\n".join(["GET /plain/file HTTP/1.1", "Host: x", *headers, "", ""]).encode()


async def _fetch_both_ways(scheme: str, port: int, context: ssl.SSLContext | bool) -> None:
    url = f"{scheme}://127.0.0.1:{port}/plain/file"
    async with ClientSession() as http:
        for _ in range(2):
            async with http.get(url, ssl=context) as answer:
                assert answer.status == 200
                assert answer.headers["ETag"] == f'"{_TAG}"'
                assert answer.headers["Accept-Ranges"] == "bytes"
                assert await answer.read() == _DATA
            async with http.get(url, headers={"Range": "bytes=1000000-5000000"}, ssl=context) as answer:
                assert answer.status == 206
                assert answer.headers["Content-Range"] == f"bytes 1000000-5000000/{len(_DATA)}"
                assert await answer.read() == _DATA[1_000_000:5_000_001]
            async with http.head(url, ssl=context) as answer:
                assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(_DATA)))


async def test_a_file_comes_whole_and_in_parts(loops: _Loops, path: Path) -> None:
    await _on(loops, _serve(path, lambda port: _fetch_both_ways("http", port, False)))


async def test_a_file_comes_under_tls_too(loops: _Loops, path: Path, tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    key = tls.make_key()
    certificate = tls.make_authority(key, common_name="x", now=now, lifetime=dt.timedelta(hours=1))
    (tmp_path / "key").write_text(key)
    (tmp_path / "certificate").write_text(certificate)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    trusting = tls.unverified_client_context()
    await _on(loops, _serve(path, lambda port: _fetch_both_ways("https", port, trusting), serving))


async def test_a_slow_client_gets_every_byte_and_holds_nobody_up(loops: _Loops, path: Path) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(_ask_for_file("Connection: close"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await _fetch_both_ways("http", port, False)
        assert await reader.read(-1) == _DATA
        writer.close()

    await _on(loops, _serve(path, talk))


async def test_asks_that_come_ahead_are_answered_in_order(loops: _Loops, path: Path) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(
            _ask_for_file() + _ask_for_file("Range: bytes=0-9") + _ask_for_file("Range: bytes=-5", "Connection: close")
        )
        for body in (_DATA, _DATA[:10], _DATA[-5:]):
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(body)) == body
        assert await reader.read() == b""
        writer.close()

    await _on(loops, _serve(path, talk))


async def test_clients_that_go_in_the_middle_leave_no_descriptor(loops: _Loops, path: Path) -> None:
    async def talk(port: int) -> None:
        await _fetch_both_ways("http", port, False)
        before = _descriptors()
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(_ask_for_file())
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
        for _ in range(200):
            if _descriptors() <= before:
                break
            await asyncio.sleep(0.02)
        assert _descriptors() <= before

    await _on(loops, _serve(path, talk))


async def test_a_client_that_takes_nothing_is_dropped(
    loops: _Loops, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SILENCE_SECONDS", 0.3)

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(_ask_for_file())
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(1.5)
        try:
            assert len(await reader.read(-1)) < len(_DATA)
        except ConnectionResetError:
            pass
        writer.close()

    await _on(loops, _serve(path, talk))


async def test_a_file_that_is_removed_meanwhile_comes_to_its_end(loops: _Loops, path: Path) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(_ask_for_file("Connection: close"))
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.to_thread(path.unlink)
        assert await reader.read(-1) == _DATA
        writer.close()
        async with ClientSession() as http, http.get(f"http://127.0.0.1:{port}/plain/file") as answer:
            assert answer.status == 404

    await _on(loops, _serve(path, talk))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": f'"{_TAG}"'}, 304),
        ({"If-None-Match": f'W/"{_TAG}", "x"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"Range": "bytes=0-9", "If-Range": f'"{_TAG}"'}, 206),
        ({"Range": "bytes=0-9", "If-Range": '"x"'}, 200),
        ({"Range": "bytes=0-9, 20-29"}, 200),
        ({"Range": "lines=0-9"}, 200),
    ],
)
async def test_what_a_client_has_already_is_not_sent(path: Path, headers: dict[str, str], status: int) -> None:
    async def talk(port: int) -> None:
        async with ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/plain/file", headers=headers) as answer:
                assert answer.status == status
                body = await answer.read()
        assert body == {200: _DATA, 206: _DATA[:10], 304: b""}[status]

    await _serve(path, talk)

"""Health checks tell apart every way in which a server may fail to answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from agent.host.probe import HttpProbe
from agent.model.replica import Obstacle, Probed
from tests.fixtures.network import find_free_port


@pytest.fixture
async def probe() -> AsyncIterator[HttpProbe]:
    made = HttpProbe()
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def answering(data: bytes | None) -> AsyncIterator[int]:
    """A server that answers each connection with these bytes and closes it, or with nothing and keeps it open."""
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if data is None:
            await closing.wait()
        else:
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        closing.set()
        server.close()
        await server.wait_closed()


async def check(probe: HttpProbe, port: int, *, timeout_seconds: float = 5.0) -> Probed:
    return await probe.check("127.0.0.1", port, "/up", timeout_seconds=timeout_seconds)


@pytest.mark.parametrize(
    ("head", "obstacle", "detail"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", None, "204"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", None, "200"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", None, "302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000, None, "200"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Obstacle.STATUS, "404"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Obstacle.STATUS, "503"),
    ],
)
async def test_a_status_decides_and_redirects_are_not_followed(
    probe: HttpProbe, head: bytes, obstacle: Obstacle | None, detail: str
) -> None:
    async with answering(head) as port:
        assert await check(probe, port) == Probed(obstacle=obstacle, detail=detail)


async def test_the_status_is_the_answer_though_its_body_never_ends() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        dropped.set_result(await reader.read())
        writer.close()

    dropped: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    probe = HttpProbe()
    assert await check(probe, server.sockets[0].getsockname()[1]) == Probed(detail="200")
    assert not dropped.done(), "it is not cut off at once"
    await probe.close()
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            await dropped
    server.close()
    await server.wait_closed()


async def test_a_path_is_sent_as_it_is_and_never_as_two_lines(probe: HttpProbe) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    asked: list[bytes] = []
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for path in ("/up?a=b&c=%20", "/a b\r\nX: y"):
        assert (await probe.check("127.0.0.1", port, path, timeout_seconds=5)).ok
    server.close()
    await server.wait_closed()
    lines = [each.split(b"\r\n")[0] for each in asked]
    assert lines == [b"GET /up?a=b&c=%20 HTTP/1.1", b"GET /a%20b%0D%0AX:%20y HTTP/1.1"]
    assert all(f"Host: 127.0.0.1:{port}".encode() in each and b"Connection: close" in each for each in asked)


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH_9.2\r\n", b""])
async def test_what_is_not_http_is_told_as_such(probe: HttpProbe, data: bytes) -> None:
    async with answering(data) as port:
        assert (await check(probe, port)).obstacle is Obstacle.GARBLED


async def test_a_server_that_never_answers_is_silent(probe: HttpProbe) -> None:
    async with answering(None) as port:
        assert (await check(probe, port, timeout_seconds=0.05)).obstacle is Obstacle.SILENT


async def test_a_port_where_nothing_listens_refuses(probe: HttpProbe) -> None:
    assert (await check(probe, find_free_port())).obstacle is Obstacle.REFUSED

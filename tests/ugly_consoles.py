"""Consoles opened and dropped in every ugly way, and what they leave on a machine."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from tests.consoles import Place, ask_ticket, seated
from tests.e2e.platform import Platform, docker
from tests.waiting import eventually

Way = Callable[[aiohttp.ClientSession, Place], Awaitable[None]]

_AT_ONCE: Final = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Traces:
    """What consoles may leave: processes in the container, execs of the engine, open files and records of daemons."""

    processes: int
    execs: int
    agent_files: int
    controld_files: int
    records: int


async def read_traces(platform: Platform, container: str) -> Traces:
    """What there is now."""
    return await asyncio.to_thread(_read_traces, platform, container)


async def open_and_drop(http: aiohttp.ClientSession, place: Place, *, count: int) -> None:
    """Go through the ways in turn, a few at one time."""
    turns = iter(range(count))

    async def keep_on() -> None:
        for turn in turns:
            await _go(WAYS[turn % len(WAYS)], http, place)

    await asyncio.gather(*(keep_on() for _ in range(_AT_ONCE)))


async def settle_down(http: aiohttp.ClientSession, place: Place) -> None:
    """Make those that still wait for their clients give way, and end in good order."""

    async def sit() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(_AT_ONCE):
                await stack.enter_async_context(seated(http, place))

    await _go(lambda *_: sit(), http, place)


async def await_traces(platform: Platform, container: str, *, before: Traces, spare_files: int) -> Traces:
    """The traces once they are those of before, but for so many files of each daemon; TimeoutError after 90 s.

    Connections that are kept for a while, in case they are of use, are closed by then.
    """
    seen = before

    async def is_clean() -> bool:
        nonlocal seen
        seen = await read_traces(platform, container)
        spared = {"agent_files": spare_files, "controld_files": spare_files}
        # Fewer than before is no trace: what was there then may have been on its way out itself.
        return all(
            getattr(seen, each.name) - getattr(before, each.name) <= spared.get(each.name, 0)
            for each in dataclasses.fields(Traces)
        )

    try:
        await eventually(is_clean, seconds=90)
    except TimeoutError as error:
        raise TimeoutError(f"consoles left {seen}, where there was {before}") from error
    return seen


async def _go(way: Way, http: aiohttp.ClientSession, place: Place) -> None:
    """Go that way, once there is room: a shell that ignores its end keeps its own for seconds."""
    while True:
        try:
            return await way(http, place)
        except aiohttp.WSServerHandshakeError as error:
            if error.status != 429:
                raise
        await asyncio.sleep(0.1)


async def _vanish_when_ready(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place) as seat:
        await seat.drop()


async def _vanish_before_ready(http: aiohttp.ClientSession, place: Place) -> None:
    async with http.ws_connect(await _get_url(http, place)) as websocket:
        connection = websocket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()


async def _vanish_in_the_handshake(http: aiohttp.ClientSession, place: Place) -> None:
    connection = await _dial(await _get_url(http, place))
    connection.close()


async def _reset_under_output(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place) as seat:
        await seat.type("busybox yes\n")
        await seat.until(rb"y\r\ny\r\n")
        await seat.drop()


async def _close_under_output(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place) as seat:
        await seat.type("busybox yes\n")
        await seat.until(rb"y\r\ny\r\n")
        await seat.websocket.close()


async def _read_nothing(http: aiohttp.ClientSession, place: Place) -> None:
    connection = await _dial(await _get_url(http, place))
    try:
        await _send(connection, _masked(b"busybox yes\n"))
        await asyncio.sleep(0.5)
    finally:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


async def _half_close(http: aiohttp.ClientSession, place: Place) -> None:
    connection = await _dial(await _get_url(http, place))
    connection.shutdown(socket.SHUT_WR)
    await asyncio.sleep(0.1)
    connection.close()


async def _speak_nonsense(http: aiohttp.ClientSession, place: Place) -> None:
    connection = await _dial(await _get_url(http, place))
    await _send(connection, os.urandom(64))
    await asyncio.sleep(0.1)
    connection.close()


async def _kill_the_shell(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place) as seat:
        await seat.type("kill -9 $$\n")
        await seat.until_over()


async def _leave_daemons(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place) as seat:
        await seat.type("(busybox setsid busybox sleep 3600 &); busybox sleep 3600 & echo st''arted\n")
        await seat.until(rb"started")
        await seat.drop()


async def _say_close_and_vanish(http: aiohttp.ClientSession, place: Place) -> None:
    async with seated(http, place) as seat:
        await seat.type("trap '' HUP TERM; echo dea''f; busybox sleep 3600\n")
        await seat.until(rb"deaf")
        await seat.say(type="close")
        await seat.drop()


WAYS: Final[Sequence[Way]] = (
    _vanish_when_ready,
    _vanish_before_ready,
    _vanish_in_the_handshake,
    _reset_under_output,
    _close_under_output,
    _read_nothing,
    _half_close,
    _speak_nonsense,
    _kill_the_shell,
    _leave_daemons,
    _say_close_and_vanish,
)


async def _get_url(http: aiohttp.ClientSession, place: Place) -> str:
    """Where a console can be opened once."""
    status, issued = await ask_ticket(http, place)
    assert status == 200, issued
    return place.url + str(issued["ws_path"])


async def _dial(url: str) -> socket.socket:
    """A connection on which the handshake was sent and nothing was read."""
    parts = urlsplit(url)
    connection = await asyncio.to_thread(socket.create_connection, (parts.hostname, parts.port), 10)
    head = (
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await _send(connection, head.encode())
    return connection


async def _send(connection: socket.socket, data: bytes) -> None:
    await asyncio.to_thread(connection.sendall, data)


def _masked(data: bytes) -> bytes:
    return bytes((0x82, 0x80 | len(data))) + b"\0\0\0\0" + data


def _read_traces(platform: Platform, container: str) -> Traces:
    (inspected,) = json.loads(docker("inspect", container))
    return Traces(
        processes=len(docker("top", container, "-o", "pid").splitlines()) - 1,
        execs=len(inspected["ExecIDs"] or ()),
        agent_files=_count_files(platform.pid("agent")),
        controld_files=_count_files(platform.pid("controld")),
        records=len(list(Path(platform.places.state).rglob("consoles/*.json"))),
    )


def _count_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())

"""Viewers of a service's log who leave in every ugly way, and what they leave in the daemons."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from tests.consoles import Place
from tests.e2e.platform import Platform
from tests.waiting import eventually

_RESET: Final = struct.pack("ii", 1, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Traces:
    """What viewers may leave: streams, followers and open files of both daemons."""

    streams: int
    upstreams: int
    viewers: int
    followers: int
    agent_files: int
    controld_files: int


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """A viewer's connection, whose events are being read."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self, events: int) -> None:
        """Read so many of them, or what comes within two seconds; an end before that is one too."""
        with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(2):
                for _ in range(events):
                    await self.reader.readuntil(b"data: ")

    def reset(self) -> None:
        """Break the connection without a word."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


Way = Callable[[Stream], Awaitable[None]]


@contextlib.asynccontextmanager
async def watching(place: Place, *, query: str = "tail=5") -> AsyncIterator[Stream]:
    """A viewer that was answered; closed in the end, whatever became of it."""
    async with _asking(place, f"?{query} HTTP/1.1\r\nAuthorization: Bearer {place.token}\r\n\r\n") as stream:
        head = await stream.reader.readuntil(b"\r\n")
        assert b" 200 " in head, head
        yield stream


async def watch_and_drop(place: Place, *, count: int) -> None:
    """Open so many viewers of the service's log side by side, and drop each in the next way."""
    together = asyncio.Event()
    together.set()
    await leave_together(place, count=count, together=together)


async def leave_together(place: Place, *, count: int, together: asyncio.Event) -> None:
    """So many viewers, who leave once that is set; they begin at the live end, at a moment or at a line by turns."""

    async def go(number: int) -> None:
        query = ("tail=5", "tail=0", "tail=200", "since=5s")[number % 4]
        async with watching(place, query=query) as stream:
            await together.wait()
            await WAYS[number % len(WAYS)](stream)

    async with _asking(place, " HTTP/1.1\r\nAuthori"):
        await asyncio.gather(*map(go, range(count)))


@contextlib.asynccontextmanager
async def _asking(place: Place, rest: str) -> AsyncIterator[Stream]:
    parts = urlsplit(place.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        path, _, headers = rest.partition("\r\n")
        head = f"GET /v1/services/{place.service_id}/logs/stream{path}\r\nHost: {parts.netloc}\r\n{headers}"
        writer.write(head.encode())
        yield Stream(reader, writer)
    finally:
        writer.transport.abort()


async def _close_at_once(stream: Stream) -> None:
    stream.writer.close()


async def _reset_at_once(stream: Stream) -> None:
    stream.reset()


async def _reset_in_the_middle_of_an_event(stream: Stream) -> None:
    await stream.read(30)
    stream.reset()


async def _close_with_much_unread(stream: Stream) -> None:
    await asyncio.sleep(0.3)
    stream.writer.close()


async def _stall_and_reset(stream: Stream) -> None:
    stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(1.0)
    stream.reset()


async def _half_close(stream: Stream) -> None:
    await stream.read(5)
    stream.writer.write_eof()
    await asyncio.sleep(0.1)


async def _speak_again(stream: Stream) -> None:
    await stream.read(5)
    stream.writer.write(b"GET / HTTP/1.1\r\n\0\xff nonsense")
    await asyncio.sleep(0.1)


async def _read_on_for_a_while(stream: Stream) -> None:
    await stream.read(400)


WAYS: Final[Sequence[Way]] = (
    _close_at_once,
    _reset_at_once,
    _reset_in_the_middle_of_an_event,
    _close_with_much_unread,
    _stall_and_reset,
    _half_close,
    _speak_again,
    _read_on_for_a_while,
)


async def read_traces(platform: Platform) -> Traces:
    """What there is now."""
    return Traces(
        streams=int((await read_gauges(platform, "log_streams"))[0]),
        upstreams=int((await read_gauges(platform, "log_upstreams"))[0]),
        viewers=int((await read_gauges(platform, "log_viewers"))[0]),
        followers=int((await read_gauges(platform, "log_followers"))[0]),
        agent_files=await asyncio.to_thread(_count_files, platform.pid("agent")),
        controld_files=await asyncio.to_thread(_count_files, platform.pid("controld")),
    )


async def read_gauges(platform: Platform, name: str) -> list[float]:
    """What controld and the agent say of it to Prometheus, those that know of it."""
    found: list[float] = []
    async with aiohttp.ClientSession() as http:
        for url, headers in (
            (f"{platform.api_url}/metrics", {"Authorization": f"Bearer {platform.token}"}),
            (f"http://127.0.0.1:{platform.ports.agent_loopback}/metrics", {}),
        ):
            async with http.get(url, headers=headers) as answer:
                page = await answer.text()
            found += map(float, re.findall(rf"^\w+_{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))
    return found


async def await_traces(platform: Platform, condition: Callable[[Traces], bool], *, seconds: float = 30.0) -> Traces:
    """The first traces of which it holds; TimeoutError with the last ones."""
    seen: Traces | None = None

    async def holds() -> bool:
        nonlocal seen
        seen = await read_traces(platform)
        return condition(seen)

    try:
        await eventually(holds, seconds=seconds)
    except TimeoutError as error:
        raise TimeoutError(f"there is {seen}") from error
    assert seen is not None
    return seen


def _count_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())

"""A stream of messages as newline-delimited JSON, written to a client and read from a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Self

from aiohttp import web

from kit.clock import Clock
from kit.http.surface import Ask
from kit.tasks import Tasks

CONTENT_TYPE: Final = "application/x-ndjson"


class MessageStream:
    """An open stream of lines to the client of one ask; used as `async with`, and `response` is the handler's result.

    An empty line is sent after each `keepalive_seconds`, so that either side notices a dead connection; it means
    nothing in NDJSON, nor between server-sent events.
    """

    def __init__(
        self, ask: Ask, *, clock: Clock, keepalive_seconds: float = 10.0, content_type: str = CONTENT_TYPE
    ) -> None:
        self.response = web.StreamResponse(headers={"Content-Type": content_type, "Cache-Control": "no-store"})
        self._ask = ask
        self._clock = clock
        self._keepalive_seconds = keepalive_seconds
        self._tasks = Tasks("messages")

    async def __aenter__(self) -> Self:
        await self._ask.open(self.response)
        self._tasks.start("keep-alive", self._keep_alive())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()

    async def send(self, lines: bytes) -> None:
        """Write whole lines, any number at once; waits while the client reads slowly."""
        await self.response.write(lines)

    async def _keep_alive(self) -> None:
        while True:
            await self._clock.sleep(self._keepalive_seconds)
            try:
                await self.response.write(b"\n")
            except ConnectionError:
                return


async def split_lines(chunks: AsyncIterator[bytes], *, max_line_bytes: int = 1 << 20) -> AsyncIterator[bytes]:
    """The lines of a stream without their ends, empty ones left out; ValueError for a line past the cap."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > max_line_bytes:
            raise ValueError(f"a line passes {max_line_bytes} bytes")
        for line in lines:
            if line:
                yield line
    if rest:
        yield rest

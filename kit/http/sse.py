"""Server-sent events: frames as bytes, and the stream that carries them to one client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import web

from kit.clock import Clock
from kit.http.callers import watch_caller
from kit.http.surface import Ask
from kit.tasks import Tasks

_COMMENT = b":\n\n"
_FORBIDDEN = frozenset("\r\n\0")


def frame(data: str | bytes, *, id: str | None = None, event: str | None = None) -> bytes:
    """One event as bytes: a `data:` line per line of data, with a trailing CR dropped and an empty line kept.

    A CR inside a line begins a new line, as the format has no other place for it. ValueError for an id or an event
    name with a line break or NUL.
    """
    head = b""
    if id is not None:
        head = b"id: " + _name(id) + b"\n"
    if event is not None:
        head += b"event: " + _name(event) + b"\n"
    raw = data.encode() if isinstance(data, str) else data
    if raw.endswith(b"\r"):
        raw = raw[:-1]
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return head + b"data: " + raw.replace(b"\n", b"\ndata: ") + b"\n\n"


class EventStream:
    """An open event stream to the client of one ask; used as `async with`, its `response` is what the handler returns.

    It sends a comment when nothing was sent for `keepalive_seconds`. `send` waits while the client reads slowly, so a
    slow client holds up its own handler only. When the client goes, the handler is cancelled. As often, and whenever
    the surface hears that callers changed, the caller is recognised anew and handed to `admit`; when either refuses,
    the connection is closed as if the client had gone.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        clock: Clock,
        keepalive_seconds: float = 15.0,
        admit: Callable[[Any], Awaitable[None]] | None = None,
    ) -> None:
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
            }
        )
        self._ask = ask
        self._clock = clock
        self._admit = admit
        self._keepalive_seconds = keepalive_seconds
        self._tasks = Tasks("events")
        self._sent_at = clock.monotonic()
        self._sending = False

    async def __aenter__(self) -> Self:
        await self._ask.open(self.response)
        self._sent_at = self._clock.monotonic()
        self._tasks.start("keep-alive", self._keep_alive())
        if self._ask.caller is not None:
            watching = watch_caller(self._ask, clock=self._clock, admit=self._admit, seconds=self._keepalive_seconds)
            self._tasks.start("caller", watching)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()

    async def send(self, events: bytes) -> None:
        """Write frames made by `frame`, any number at once; ConnectionResetError when the client has gone."""
        self._sending = True
        try:
            await self.response.write(events)
        finally:
            self._sending = False
            self._sent_at = self._clock.monotonic()

    async def _keep_alive(self) -> None:
        wait = self._keepalive_seconds
        while True:
            await self._clock.sleep(wait)
            idle = self._clock.monotonic() - self._sent_at
            wait = self._keepalive_seconds - idle
            if wait <= 0:
                wait = self._keepalive_seconds
                if not self._sending:
                    try:
                        await self.send(_COMMENT)
                    except ConnectionError:
                        return


def _name(value: str) -> bytes:
    if not _FORBIDDEN.isdisjoint(value):
        raise ValueError(f"cannot frame {value!r}: it holds a line break or NUL")
    return value.encode()

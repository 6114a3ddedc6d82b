"""A file that is made while it is sent: compressed where the client takes that, and broken off where it cannot end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import hdrs, web

from kit.clock import Clock
from kit.http.callers import watch_caller
from kit.http.surface import Ask
from kit.tasks import Tasks

_LEVEL: Final = 3


class Download:
    """A download to the client of one ask; used as `async with`, its `response` is what the handler returns.

    Whatever ends it other than its own end, closes the connection as if the server had died, so that no client takes a
    part for the whole. The caller is recognised anew meanwhile, as for an EventStream.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        content_type: str,
        file_name: str,
        clock: Clock,
        admit: Callable[[Any], Awaitable[None]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.response = web.StreamResponse(
            headers={
                **(headers or {}),
                hdrs.CONTENT_TYPE: content_type,
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{file_name}"',
                hdrs.CACHE_CONTROL: "no-store",
                hdrs.VARY: hdrs.ACCEPT_ENCODING,
                "X-Accel-Buffering": "no",
            }
        )
        self._ask = ask
        self._clock = clock
        self._admit = admit
        self._tasks = Tasks("download")
        self._compressor: Any = None
        if accepts(ask.request.headers.get(hdrs.ACCEPT_ENCODING, ""), "zstd"):
            import zstandard

            self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
            self.response.headers[hdrs.CONTENT_ENCODING] = "zstd"

    async def __aenter__(self) -> Self:
        await self._ask.open(self.response)
        if self._ask.caller is not None:
            self._tasks.start("caller", watch_caller(self._ask, clock=self._clock, admit=self._admit))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()
        if kind is not None:
            if (transport := self._ask.request.transport) is not None:
                transport.abort()
        elif self._compressor is not None:
            await self.response.write(self._compressor.flush())

    async def send(self, data: bytes) -> None:
        """Write what follows; waits while the client reads slowly."""
        if self._compressor is not None:
            data = self._compressor.compress(data)
        if data:
            await self.response.write(data)


def accepts(header: str, coding: str) -> bool:
    """Whether an Accept-Encoding header names the coding, and does not refuse it."""
    for each in header.split(","):
        name, _, parameters = each.partition(";")
        if name.strip().lower() == coding:
            quality = parameters.strip().lower().removeprefix("q=").strip()
            return not quality or quality.strip("0.") != ""
    return False

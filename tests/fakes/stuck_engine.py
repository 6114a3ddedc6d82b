"""A real engine's socket with some of its answers held back, as when one of its locks is stuck."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from kit.tasks import Tasks

_PIECE: Final = 1 << 16
_REQUEST: Final = re.compile(rb"^([A-Z]+) (?:/v[0-9.]+)?(/[^ ?]*)[^ ]* HTTP/1\.1\r\n")


class StuckEngine:
    """Passes every connection on to the engine at `engine`, but for requests that match what is held.

    A held request never reaches the engine until it is let go; what comes back on a stream that is muted is lost.
    """

    def __init__(self, path: Path, *, engine: Path) -> None:
        self.path = path
        self.held = 0
        """Requests that were held."""
        self._engine = engine
        self._stuck: re.Pattern[str] | None = None
        self._mute: re.Pattern[str] | None = None
        self._free = asyncio.Event()
        self._tasks = Tasks("stuck engine")
        self._asked: dict[asyncio.StreamWriter, str] = {}

    def hold(self, requests: str) -> None:
        """Hold requests whose `METHOD /path`, without the version, matches from its beginning to its end."""
        self._stuck, self.held = re.compile(requests), 0
        self._free.clear()

    def mute(self, requests: str) -> None:
        """Let nothing more of the answers to such requests through, those that are on their way included."""
        self._mute = re.compile(requests)

    def let_go(self) -> None:
        """Answer everything again, what was held too; a stream that was muted stays silent."""
        self._stuck = self._mute = None
        self._free.set()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen until left."""
        server = await asyncio.start_unix_server(self._serve, str(self.path))
        try:
            yield
        finally:
            server.close()
            await self._tasks.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_unix_connection(str(self._engine))
        except OSError:
            writer.close()
            return
        ways = [
            self._tasks.start("asks", self._pass_asks(reader, outer)),
            self._tasks.start("answers", self._pass_answers(inner, writer, outer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._asked.pop(outer, None)
            writer.close()
            outer.close()

    async def _pass_asks(self, reader: asyncio.StreamReader, outer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE):
                if (found := _REQUEST.match(data)) is not None:
                    asked = self._asked[outer] = f"{found[1].decode()} {found[2].decode()}"
                    if self._stuck is not None and self._stuck.fullmatch(asked):
                        self.held += 1
                        await self._free.wait()
                outer.write(data)
                await outer.drain()

    async def _pass_answers(
        self, inner: asyncio.StreamReader, writer: asyncio.StreamWriter, outer: asyncio.StreamWriter
    ) -> None:
        muted = False
        with contextlib.suppress(OSError):
            while data := await inner.read(_PIECE):
                muted = muted or (self._mute is not None and bool(self._mute.fullmatch(self._asked.get(outer, ""))))
                if not muted:
                    writer.write(data)
                    await writer.drain()
        if muted:
            await asyncio.Event().wait()

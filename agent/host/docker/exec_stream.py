"""The connection to the engine that carries the bytes of one exec."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from agent.rules.exec_frames import ExecFrames

_MOST_EARLY_BYTES: Final = 64 * 1024
_MOST_WAITING_BYTES: Final = 256 * 1024


class ExecStream(asyncio.Protocol):
    """The hijacked connection of one exec; `begun` is the status of the engine's answer, and then all is bytes.

    Without a terminal (`tty`), the engine puts them into frames, out of which they are taken here.
    """

    def __init__(self, *, tty: bool) -> None:
        self.begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.early = bytearray()
        """What came before somebody listened; past 64 KiB the engine has to wait."""
        self._head = bytearray()
        self._frames = None if tty else ExecFrames()
        self._transport: asyncio.Transport | None = None
        self._on_output: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._is_over = False
        self._is_input_over = False
        self._is_paused = False
        self._is_full = False
        self._drained: asyncio.Future[None] | None = None

    def listen(self, on_output: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Tell what came early, and from now on all."""
        self._on_output, self._on_end = on_output, on_end
        early, self.early = bytes(self.early), bytearray()
        if early:
            on_output(early)
        if self._is_over:
            on_end()
        else:
            self.resume()

    @property
    def is_full(self) -> bool:
        """Whether more than 256 KiB wait to be written."""
        return self._is_full

    def write(self, data: bytes) -> None:
        """Send at once; nothing where the connection has gone or the input has ended."""
        if self._transport is not None and not self._is_input_over:
            self._transport.write(data)

    def end_input(self) -> None:
        """Close the writing half behind what was written, once; nothing to a terminal, whose shell would be cut off."""
        if self._transport is None or self._frames is None or self._is_input_over or self._transport.is_closing():
            return
        self._is_input_over = True
        self._transport.write_eof()

    async def drained(self) -> None:
        """Return when it is not full; ConnectionResetError when the connection has gone."""
        if self._is_over:
            raise ConnectionResetError("the engine closed the connection")
        if self._is_full:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)

    def pause(self) -> None:
        """Read nothing."""
        if self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_MOST_WAITING_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._on_output is not None:
            if self._frames is not None:
                data = self._frames.feed(data)
            if data:
                self._on_output(data)
            return
        if not self.begun.done():
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self.begun.set_result(int(head[9:12]) if head.startswith(b"HTTP/1.") and head[9:12].isdigit() else 0)
            data = bytes(rest)
        self.early += data if self._frames is None else self._frames.feed(data)
        if len(self.early) > _MOST_EARLY_BYTES:
            self.pause()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._is_over = True
        if not self.begun.done():
            self.begun.set_exception(exc or ConnectionResetError("the engine closed the connection"))
        if self._drained is not None:
            self._drained.set_exception(ConnectionResetError("the engine closed the connection"))
            self._drained.exception()  # whoever waits is told; nobody has to
        if self._on_end is not None:
            self._on_end()
        # What is held in a circle would wait for a collector that seldom comes.
        self._on_output = self._on_end = None

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

"""The client's WebSocket as a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import WSMsgType

from controld.api.v1.shapes_console import (
    CloseFrame,
    EofFrame,
    ErrorFrame,
    ExitFrame,
    ReadyFrame,
    ResizeFrame,
    decode_client_frame,
)
from controld.core.ports_consoles import Closed, Gone, InputEnded, Resized, TerminalNews
from kit.clock import Clock
from kit.http.alive import watch_silence
from kit.http.websocket import DirectWebSocket
from kit.tasks import Tasks

_FRAME_BYTES: Final = 8192
_CLOSE_SECONDS: Final = 5.0
_MOST_EARLY_BYTES: Final = 1024 * 1024
_encode = msgspec.json.Encoder().encode


class SocketTerminal:
    """Fulfils `controld.core.ports_consoles.Terminal`.

    A Close frame of the client ends its console; a connection that breaks, or is silent to pings, does not.
    """

    def __init__(self, websocket: DirectWebSocket, *, clock: Clock, ping_seconds: float) -> None:
        self._websocket = websocket
        self._end = websocket.end
        self.drained = self._end.drained
        self.pause = self._end.pause
        self.resume = self._end.resume
        self._on_input: Callable[[bytes], None] | None = None
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._tasks = Tasks("terminal")
        websocket.give_to(self._take)
        self._tasks.start("silence", self._watch(clock, ping_seconds))

    def listen(self, on_input: Callable[[bytes], None]) -> None:
        """Tell input from now on, what came before first."""
        self._on_input = on_input
        early, self._early = self._early, []
        if self._early_bytes > _MOST_EARLY_BYTES:
            self.resume()
        for data in early:
            on_input(data)
        self._websocket.give_to(on_input)

    async def receive(self) -> TerminalNews:
        """What the client says next; text that is none of ours is passed over."""
        while True:
            try:
                message = await self._websocket.receive()
            except ConnectionError:  # it broke while a ping was answered
                return Gone()
            match message.type:
                case WSMsgType.BINARY:
                    self._take(message.data)
                    self._websocket.settle()
                case WSMsgType.TEXT:
                    self._websocket.settle()
                    match decode_client_frame(message.data):
                        case ResizeFrame(cols=cols, rows=rows):
                            return Resized(cols, rows)
                        case EofFrame():
                            return InputEnded()
                        case CloseFrame():
                            return Closed()
                        case None:
                            continue
                case WSMsgType.CLOSE:
                    return Closed()
                case _:
                    return Gone()

    def write(self, data: bytes) -> None:
        """Show output."""
        self._end.write(data, most_bytes=_FRAME_BYTES)

    def tell_ready(self, session_id: str, *, replica_index: int, cols: int, rows: int, position: int) -> None:
        """Say that the console runs."""
        self._say(
            ReadyFrame(session_id=session_id, replica_index=replica_index, cols=cols, rows=rows, position=position)
        )

    def tell_error(self, message: str) -> None:
        """Say what went wrong."""
        self._say(ErrorFrame(message=message))

    def tell_exit(self, code: int | None) -> None:
        """Say how the shell ended."""
        self._say(ExitFrame(code=code))

    @property
    def is_full(self) -> bool:
        """Whether the client takes less than it is shown."""
        return self._end.is_full

    async def close(self, code: int, reason: str) -> None:
        """Close in good order, or drop the connection when the client does not take part."""
        await self._tasks.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._websocket.close(code=code, message=reason.encode())
        except TimeoutError:
            self._end.abort()
        self._on_input = None
        self._websocket.release()

    def _say(self, frame: ReadyFrame | ErrorFrame | ExitFrame) -> None:
        self._end.say(_encode(frame).decode())

    def _take(self, data: bytes) -> None:
        if self._on_input is None:
            self._early.append(data)
            self._early_bytes += len(data)
            if self._early_bytes > _MOST_EARLY_BYTES:
                self.pause()
        else:
            self._on_input(data)

    async def _watch(self, clock: Clock, ping_seconds: float) -> None:
        await watch_silence(self._websocket, self._websocket.ping, clock=clock, ping_seconds=ping_seconds)
        self._end.abort()

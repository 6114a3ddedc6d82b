"""A WebSocket whose messages can be dealt with where they arrive, without waking the task that reads it.

Waking a reader costs more than decoding a small message. Where nearly every message can be answered from memory, or
goes on to another connection, that is worth a quarter of the CPU (row 2a of `benchmarks/`) and most of the delay (7a).

It hangs between aiohttp's connection and its reader, which has no public seam; its test holds what it leans on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from aiohttp import ClientWebSocketResponse, web
from aiohttp._websocket.helpers import websocket_mask  # its compiled form; the only one that is quick
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_websocket import WebSocketReader, WebSocketWriter

_WHOLE_BINARY: Final = 0x82
_WHOLE_TEXT: Final = 0x81
_FINAL: Final = 0x80
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_MASK_BYTES: Final = 4
_MOST_WAITING_BYTES: Final = 64 * 1024
"""Answers that the other side has not taken; from there on the reading task answers, which waits."""

Answer = Callable[[bytes], bytes | None]
"""Gives the answer to a binary message, empty for none, or None to let `receive` have it."""

Take = Callable[[bytes], None]
"""Has a binary message, which is dealt with when it returns."""


class DirectWebSocket(web.WebSocketResponse):
    """A WebSocket without compression; `receive` gets all messages that no function has had where they arrived.

    A message that is left, or whose function fails, makes those behind it wait for `settle`, so that order is kept.
    """

    def __init__(self, *, close_seconds: float, max_message_bytes: int) -> None:
        super().__init__(timeout=close_seconds, compress=False, max_msg_size=max_message_bytes)
        self._max_message_bytes = max_message_bytes
        self._frames: _Frames | None = None
        self._end: DirectEnd | None = None

    def answer_with(self, answer: Answer) -> None:
        """Let this function see each whole binary message first, from now on; it must not block."""
        assert self._frames is not None
        self._frames.answer = answer

    def give_to(self, take: Take) -> None:
        """Let this function have each whole binary message, from now on; it must not block."""
        assert self._frames is not None
        self._frames.take = take

    def settle(self) -> None:
        """A message that `receive` gave out is dealt with."""
        assert self._frames is not None
        self._frames.left -= 1

    def release(self) -> None:
        """Let go of the function, and of what broke the connection: both hold this in a circle, for which the garbage
        collector of a daemon comes too seldom.
        """
        if self._frames is not None:
            self._frames.answer = self._frames.take = None
        _forget_frames(self.exception())

    @property
    def heard(self) -> int:
        """A number that changes whenever anything comes from the other side."""
        return 0 if self._frames is None else self._frames.heard

    @property
    def end(self) -> DirectEnd:
        """This end, for writing without waiting; it can be asked for after the connection has gone, too."""
        assert self._end is not None
        return self._end

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter) -> None:
        handler = request.protocol
        assert request.transport is not None
        self._end = DirectEnd(request.transport, handler, masks=False)
        # What came with the handshake has to go through our frames as well.
        early, handler._message_tail = handler._message_tail, b""  # noqa: SLF001 - see the module's opening
        super()._post_start(request, protocol, writer)
        assert self._parser is not None
        self._frames = _Frames(self._parser, request.transport, self._max_message_bytes, from_client=True)
        handler._payload_parser = self._frames  # noqa: SLF001 - see the module's opening
        if early:
            self._frames.feed_data(early)


class DirectClient:
    """The same at the client's end of a WebSocket, which speaks first: its server is silent until then."""

    def __init__(self, websocket: ClientWebSocketResponse, *, max_message_bytes: int) -> None:
        connection = websocket._response.connection  # noqa: SLF001 - see the module's opening
        parser = websocket._parser  # noqa: SLF001 - see the module's opening
        if connection is None or connection.transport is None or parser is None:
            raise ConnectionResetError("the connection was lost in its handshake")
        assert connection.protocol is not None
        self._frames = _Frames(parser, connection.transport, max_message_bytes, from_client=False)
        self._websocket = websocket
        connection.protocol.set_parser(self._frames, websocket._reader)  # noqa: SLF001 - see the module's opening
        self.end = DirectEnd(connection.transport, connection.protocol, masks=True)

    def give_to(self, take: Take) -> None:
        """Let this function have each whole binary message, from now on; it must not block."""
        self._frames.take = take

    def settle(self) -> None:
        """A message that `receive` gave out is dealt with."""
        self._frames.left -= 1

    def release(self) -> None:
        """Let go of the function, and of what broke the connection."""
        self._frames.take = None
        _forget_frames(self._websocket.exception())

    @property
    def heard(self) -> int:
        """A number that changes whenever anything comes from the other side."""
        return self._frames.heard


class DirectEnd:
    """A WebSocket as something that binary messages are written to at once, and whose pace can be asked for and set."""

    def __init__(self, transport: asyncio.Transport, protocol: BaseProtocol, *, masks: bool) -> None:
        self._transport = transport
        self._protocol = protocol
        self._frame = _mask if masks else _frame

    @property
    def is_full(self) -> bool:
        """Whether the other side takes less than it is sent; what is written now waits in memory."""
        return self._protocol._paused  # noqa: SLF001 - its property costs a call for each key

    def write(self, data: bytes, *, most_bytes: int | None = None) -> None:
        """Send a binary message, or several of at most that many bytes; nothing where the connection has gone."""
        if self._transport.is_closing():
            return
        if most_bytes is None or len(data) <= most_bytes:
            self._transport.write(self._frame(data))
            return
        pieces = [data[start : start + most_bytes] for start in range(0, len(data), most_bytes)]
        self._transport.write(b"".join(map(self._frame, pieces)))

    def say(self, text: str) -> None:
        """Send a text message; nothing where the connection has gone."""
        if not self._transport.is_closing():
            self._transport.write(self._frame(text.encode(), _WHOLE_TEXT))

    async def drained(self) -> None:
        """Return when it is not full any more; ConnectionError when it never will be."""
        await self._protocol._drain_helper()  # noqa: SLF001 - see the module's opening

    @property
    def is_paused(self) -> bool:
        """Whether nothing is taken from the other side for now, and so nothing can be heard of it."""
        return self._protocol._reading_paused  # noqa: SLF001 - see the module's opening

    def pause(self) -> None:
        """Take nothing from the other side until `resume`."""
        self._protocol.pause_reading()

    def resume(self) -> None:
        """Take what the other side sends again."""
        self._protocol.resume_reading()

    def abort(self) -> None:
        """Drop the connection at once; nothing where it has gone."""
        self._transport.abort()


class _Frames:
    """Cuts the stream into frames: whole binary messages may be answered here, the rest goes on to aiohttp's reader."""

    def __init__(
        self, reader: WebSocketReader, transport: asyncio.Transport, max_message_bytes: int, *, from_client: bool
    ) -> None:
        self.answer: Answer | None = None
        self.take: Take | None = None
        self.left = 0
        self.heard = 0
        self._reader = reader
        self._write = transport.write
        self._waiting_bytes = transport.get_write_buffer_size
        self._is_closing = transport.is_closing
        self._max_message_bytes = max_message_bytes
        self._mask_bit = _MASKED if from_client else 0
        self._rest = b""
        self._is_passed_on = False
        self._is_in_pieces = False

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.heard += 1
        if self._is_passed_on:
            return self._feed(data)
        if self._rest:
            data, self._rest = self._rest + data, b""
        start, size = 0, len(data)
        while size - start >= 2:
            length, body = data[start + 1] & 0x7F, start + 2
            if length >= 126:
                body += 2 if length == 126 else 8
                if body > size:
                    break
                length = int.from_bytes(data[start + 2 : body], "big")
            if data[start + 1] & _MASKED:
                body += _MASK_BYTES
            if length > self._max_message_bytes:
                # The reader refuses it; nothing behind it counts.
                self._is_passed_on = True
                return self._feed(data[start:])
            end = body + length
            if end > size:
                break
            first = data[start]
            is_plain = first == _WHOLE_BINARY and data[start + 1] & _MASKED == self._mask_bit
            if not (is_plain and self._meet(data, body, end)):
                self._note_left(first)
                failed, rest = self._feed(data if start == 0 and end == size else data[start:end])
                if failed:
                    return failed, rest
            start = end
        self._rest = data[start:] if start else data
        return False, b""

    def _meet(self, data: bytes, body: int, end: int) -> bool:
        """Whether the message is dealt with here."""
        take, answer = self.take, self.answer
        if self.left or self._is_in_pieces or (take is None and answer is None):
            return False
        if take is None and (self._waiting_bytes() > _MOST_WAITING_BYTES or self._is_closing()):
            return False
        message = data[body:end]
        if self._mask_bit:
            unmasked = bytearray(message)
            websocket_mask(data[body - _MASK_BYTES : body], unmasked)
            message = bytes(unmasked)
        try:
            if take is not None:
                take(message)
                return True
            said = None if answer is None else answer(message)
        except Exception:  # noqa: BLE001 - the reading task meets it again, and its failure is the link's
            return False
        if said:
            self._write(_frame(said))
        return said is not None

    def _note_left(self, first: int) -> None:
        """Count a message of which the last frame goes on to the reader; control frames are none."""
        if first & _CONTROL:
            return
        self._is_in_pieces = not first & _FINAL
        if first & _FINAL:
            self.left += 1

    def _feed(self, data: bytes) -> tuple[bool, bytes]:
        result: Any = self._reader.feed_data(data)
        return bool(result[0]), result[1]


def _frame(message: bytes, first: int = _WHOLE_BINARY) -> bytes:
    return _head(len(message), first, 0) + message


def _mask(message: bytes, first: int = _WHOLE_BINARY) -> bytes:
    # As the library does: it keeps proxies from being confused, and is no secret.
    mask, masked = random.getrandbits(32).to_bytes(_MASK_BYTES, "big"), bytearray(message)
    websocket_mask(mask, masked)
    return b"".join((_head(len(message), first, _MASKED), mask, masked))


def _head(length: int, first: int, masked: int) -> bytes:
    if length < 126:
        return bytes((first, masked | length))
    if length < 65536:
        return bytes((first, masked | 126)) + length.to_bytes(2, "big")
    return bytes((first, masked | 127)) + length.to_bytes(8, "big")


def _forget_frames(error: BaseException | None) -> None:
    while error is not None:
        error.__traceback__ = None
        error = error.__context__

"""A server's WebSocket that can answer a message where it arrives, without waking the task that reads it.

Waking a reader costs more than decoding a small message. Where nearly every message can be answered from memory, that
is worth a quarter of the CPU (row 2a of `benchmarks/`).

It hangs between aiohttp's connection and its reader, which has no public seam; its test holds what it leans on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp._websocket.helpers import websocket_mask  # its compiled form; the only one that is quick
from aiohttp.http_websocket import WebSocketReader, WebSocketWriter

_WHOLE_BINARY: Final = 0x82
_FINAL: Final = 0x80
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_MASK_BYTES: Final = 4
_MOST_WAITING_BYTES: Final = 64 * 1024
"""Answers that the other side has not taken; from there on the reading task answers, which waits."""

Answer = Callable[[bytearray], bytes | None]
"""Gives the answer to a binary message, or None to let `receive` have it."""


class DirectWebSocket(web.WebSocketResponse):
    """A WebSocket without compression; `receive` gets all messages that `answer_with`'s function leaves to it.

    A message that is left, or whose function fails, makes those behind it wait for `settle`, so that order is kept.
    """

    def __init__(self, *, close_seconds: float, max_message_bytes: int) -> None:
        super().__init__(timeout=close_seconds, compress=False, max_msg_size=max_message_bytes)
        self._max_message_bytes = max_message_bytes
        self._frames: _Frames | None = None

    def answer_with(self, answer: Answer) -> None:
        """Let this function see each whole binary message first, from now on; it must not block."""
        assert self._frames is not None
        self._frames.answer = answer

    def settle(self) -> None:
        """A message that `receive` gave out is dealt with."""
        assert self._frames is not None
        self._frames.left -= 1

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter) -> None:
        handler = request.protocol
        assert request.transport is not None
        # What came with the handshake has to go through our frames as well.
        early, handler._message_tail = handler._message_tail, b""  # noqa: SLF001 - see the module's opening
        super()._post_start(request, protocol, writer)
        assert self._parser is not None
        self._frames = _Frames(self._parser, request.transport, self._max_message_bytes)
        handler._payload_parser = self._frames  # noqa: SLF001 - see the module's opening
        if early:
            self._frames.feed_data(early)


class _Frames:
    """Cuts the stream into frames: whole binary messages may be answered here, the rest goes on to aiohttp's reader."""

    def __init__(self, reader: WebSocketReader, transport: asyncio.Transport, max_message_bytes: int) -> None:
        self.answer: Answer | None = None
        self.left = 0
        self._reader = reader
        self._write = transport.write
        self._waiting_bytes = transport.get_write_buffer_size
        self._is_closing = transport.is_closing
        self._max_message_bytes = max_message_bytes
        self._rest = b""
        self._is_passed_on = False
        self._is_in_pieces = False

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
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
            if not (first == _WHOLE_BINARY and data[start + 1] & _MASKED and self._take(data, body=body, end=end)):
                self._note_left(first)
                failed, rest = self._feed(data if start == 0 and end == size else data[start:end])
                if failed:
                    return failed, rest
            start = end
        self._rest = data[start:] if start else data
        return False, b""

    def _take(self, data: bytes, *, body: int, end: int) -> bool:
        """Whether the message was answered here."""
        answer = self.answer
        if answer is None or self.left or self._is_in_pieces:
            return False
        if self._waiting_bytes() > _MOST_WAITING_BYTES or self._is_closing():
            return False
        message = bytearray(data[body:end])
        websocket_mask(data[body - _MASK_BYTES : body], message)
        try:
            said = answer(message)
        except Exception:  # noqa: BLE001 - the reading task meets it again, and its failure is the link's
            return False
        if said is None:
            return False
        self._write(_frame(said))
        return True

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


def _frame(message: bytes) -> bytes:
    length = len(message)
    if length < 126:
        return bytes((_WHOLE_BINARY, length)) + message
    if length < 65536:
        return b"\x82\x7e" + length.to_bytes(2, "big") + message
    return b"\x82\x7f" + length.to_bytes(8, "big") + message

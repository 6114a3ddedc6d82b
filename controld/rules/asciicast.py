"""A terminal's output as an asciicast of version 2: a header, then an event a line."""

from __future__ import annotations

import codecs

import msgspec


class Asciicast:
    """Renders lines; bytes of a character that is not whole wait for the rest, and broken ones become U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @staticmethod
    def render_header(*, cols: int, rows: int, timestamp: int, title: str) -> bytes:
        """The first line."""
        header = {"version": 2, "width": cols, "height": rows, "timestamp": timestamp, "title": title}
        return msgspec.json.encode(header) + b"\n"

    def render_output(self, seconds: float, data: bytes) -> bytes:
        """What was shown so many seconds from the start; empty while no character is whole."""
        text = self._decoder.decode(data)
        return _event(seconds, "o", text) if text else b""

    @staticmethod
    def render_size(seconds: float, *, cols: int, rows: int) -> bytes:
        """The terminal got another size."""
        return _event(seconds, "r", f"{cols}x{rows}")

    @staticmethod
    def render_marker(seconds: float, text: str) -> bytes:
        """A word of ours."""
        return _event(seconds, "m", text)


def _event(seconds: float, kind: str, text: str) -> bytes:
    return msgspec.json.encode((round(seconds, 6), kind, text)) + b"\n"

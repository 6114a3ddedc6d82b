"""Frames of the engine's log stream become lines: bytes in, lines out, whatever the cuts between the bytes."""

from __future__ import annotations

import datetime as dt

from agent.model.engine import RawLine

FRAGMENT_BYTES = 16 * 1024
"""The engine cuts a line that is longer into fragments of this size, each with a timestamp of its own."""

_HEADER_BYTES = 8
_STAMP_BYTES = 64
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class LogFrames:
    """Reads the multiplexed stream of a container without a terminal, asked for with timestamps.

    A line of up to 16 KiB comes out whole; a longer one comes in pieces of 16 KiB that are marked `partial`, up to its
    last piece. Bytes are kept as they are: NUL and invalid UTF-8 included.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lines = {"stdout": Fragments("stdout"), "stderr": Fragments("stderr")}

    def feed(self, data: bytes) -> list[RawLine]:
        """The lines that these bytes complete, in order."""
        buffer = self._buffer
        buffer += data
        lines: list[RawLine] = []
        start = 0
        while len(buffer) - start >= _HEADER_BYTES:
            end = start + _HEADER_BYTES + int.from_bytes(buffer[start + 4 : start + 8])
            if end > len(buffer):
                break
            line = self._lines[_STREAMS.get(buffer[start], "stderr")]
            line.add(*_split_stamp(bytes(buffer[start + _HEADER_BYTES : end])), lines)
            start = end
        del buffer[:start]
        return lines

    def finish(self) -> list[RawLine]:
        """What was begun and not completed when the stream ended."""
        return [rest for line in self._lines.values() for rest in line.flush()]


class TerminalLines:
    """Reads the plain stream of a container with a terminal, asked for with timestamps: all of it is stdout.

    Lines come as from `LogFrames`; the carriage return that a terminal puts before a line feed is dropped.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._line = Fragments("stdout")

    def feed(self, data: bytes) -> list[RawLine]:
        """The lines that these bytes complete, in order."""
        buffer = self._buffer
        buffer += data
        lines: list[RawLine] = []
        start = 0
        while start < len(buffer):
            # A fragment is its stamp, a space and at most 16 KiB; the next one begins with a stamp again.
            space = buffer.find(b" ", start, start + _STAMP_BYTES)
            end = (start if space < 0 else space + 1) + FRAGMENT_BYTES
            found = buffer.find(b"\n", start, end + 1)
            if found < 0:
                if len(buffer) <= end:
                    break
                self._line.add(*_split_stamp(bytes(buffer[start:end])), lines)
                start = end
            else:
                fragment = bytes(buffer[start:found]).removesuffix(b"\r") + b"\n"
                self._line.add(*_split_stamp(fragment), lines)
                start = found + 1
        del buffer[:start]
        return lines

    def finish(self) -> list[RawLine]:
        """What was begun and not completed when the stream ended."""
        lines: list[RawLine] = []
        if self._buffer:
            self._line.add(*_split_stamp(bytes(self._buffer)), lines)
            self._buffer.clear()
        return [*lines, *self._line.flush()]


class Fragments:
    """The line of one stream that is being put together from the engine's fragments."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._text = b""
        self._at: dt.datetime | None = None
        self._last = _EPOCH

    @property
    def is_begun(self) -> bool:
        """Whether a line waits for its next fragment."""
        return self._at is not None

    def add(self, at: dt.datetime | None, text: bytes, lines: list[RawLine]) -> None:
        """Take a fragment and its stamp, if it has one; what it completes is appended to `lines`."""
        self._last = at or self._last
        if self._at is None:
            self._at = self._last
        # A shorter fragment without a line feed is the last thing that a writer said before it ended.
        ended = text.endswith(b"\n") or len(text) < FRAGMENT_BYTES
        text = self._text + text.removesuffix(b"\n")
        while len(text) > FRAGMENT_BYTES:
            lines.append(RawLine(at=self._at, stream=self._stream, text=text[:FRAGMENT_BYTES], partial=True))
            self._at = self._last
            text = text[FRAGMENT_BYTES:]
        if ended:
            lines.append(RawLine(at=self._at, stream=self._stream, text=text))
            self._at, text = None, b""
        self._text = text

    def flush(self) -> list[RawLine]:
        """The line as far as it came."""
        if self._at is None:
            return []
        line = RawLine(at=self._at, stream=self._stream, text=self._text)
        self._at, self._text = None, b""
        return [line]


def _split_stamp(fragment: bytes) -> tuple[dt.datetime | None, bytes]:
    stamp, space, text = fragment.partition(b" ")
    if space and 20 <= len(stamp) <= _STAMP_BYTES:
        try:
            at = dt.datetime.fromisoformat(stamp.decode("ascii"))
        except ValueError:
            return None, fragment
        if at.tzinfo is not None:
            return at.astimezone(dt.UTC), text
    return None, fragment

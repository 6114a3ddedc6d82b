"""Reads a stream of server-sent events piece by piece, as the HTML standard's event stream interpretation says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its data, its name ("message" where none was given), and the last id seen ("" for none)."""

    data: str
    event: str = "message"
    id: str = ""


class EventParser:
    """Takes bytes in pieces of any size and gives the events that are complete; an unfinished last one is dropped.

    ValueError when a single event passes `max_event_bytes`.
    """

    def __init__(self, *, max_event_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self._started = False
        self._after_cr = False
        self._data: list[str] = []
        self._data_bytes = 0
        self._event = ""
        self._id = ""
        self.retry_milliseconds: int | None = None

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that this piece completes, in order."""
        for line in self._lines(piece):
            if line:
                self._field(line)
            else:
                event = self._dispatch()
                if event is not None:
                    yield event
        if len(self._rest) + self._data_bytes > self._max_event_bytes:
            raise ValueError(f"cannot read events: one is larger than {self._max_event_bytes} bytes")

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        data = self._rest + piece
        if not self._started:
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                self._rest = data
                return
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._started = True
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = data.split(b"\n")
        yield from lines

    def _field(self, line: bytes) -> None:
        name, _, raw = line.partition(b":")
        value = raw.removeprefix(b" ").decode(errors="replace")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(raw)
        elif name == b"event":
            self._event = value
        elif name == b"id" and "\0" not in value:
            self._id = value
        elif name == b"retry" and value.isascii() and value.isdigit():
            self.retry_milliseconds = int(value)

    def _dispatch(self) -> Event | None:
        data, event = self._data, self._event or "message"
        self._data, self._event, self._data_bytes = [], "", 0
        if not data:
            return None
        return Event(data="\n".join(data), event=event, id=self._id)


async def split_events(chunks: AsyncIterator[bytes], *, max_event_bytes: int = 1 << 20) -> AsyncGenerator[bytes]:
    """The stream in pieces of whole events, any number each, as they came; ValueError for an event past the cap.

    Lines end with a line feed alone; empty ones between events, which keep a connection, are left out as far as they
    are no piece of their own.
    """
    rest = b""
    async for chunk in chunks:
        data = (rest + chunk if rest else chunk).lstrip(b"\n")
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            rest = data
            if len(rest) > max_event_bytes:
                raise ValueError(f"an event passes {max_event_bytes} bytes")
            continue
        rest = data[end:]
        yield data[:end] if rest else data

"""Lines of a container's log side by side: what most logs are made of, without an object for each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from agent.model.engine import LoggedLine
from agent.model.logs import Entry


class Stamps(NamedTuple):
    """The stamps of lines in their order, as text in decimal microseconds since 1970."""

    beginning: str
    """What each begins with."""
    endings: Sequence[str]
    first_usec: int
    """The earliest of them."""
    last_usec: int

    def list_usecs(self) -> list[int]:
        """The same as numbers."""
        return [int(self.beginning + ending) for ending in self.endings]


class LineColumns(Sequence[LoggedLine]):
    """Whole lines without a line break, carriage return or NUL inside; as a sequence they are made one by one."""

    __slots__ = ("characters", "stamps", "streams", "texts")

    def __init__(self, stamps: Stamps, *, streams: Sequence[str], texts: Sequence[str], characters: int) -> None:
        self.stamps = stamps
        self.streams = streams
        self.texts = texts
        """Each with the line feed at its end."""
        self.characters = characters
        """Of all lines together."""

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, at: int) -> LoggedLine: ...

    @overload
    def __getitem__(self, at: slice) -> list[LoggedLine]: ...

    def __getitem__(self, at: int | slice) -> LoggedLine | list[LoggedLine]:
        if isinstance(at, slice):
            return list(self)[at]
        usec = int(self.stamps.beginning + self.stamps.endings[at])
        return LoggedLine(usec, self.streams[at], self.texts[at][:-1])

    def __iter__(self) -> Iterator[LoggedLine]:
        for usec, stream, text in zip(self.stamps.list_usecs(), self.streams, self.texts, strict=True):
            yield LoggedLine(usec, stream, text[:-1])


class EntryColumns(Sequence[Entry]):
    """The same with the place that each takes in its container's log; as a sequence they are made once and kept."""

    __slots__ = ("_entries", "container", "lines", "nths", "replica_id", "replica_index")

    def __init__(
        self,
        lines: LineColumns,
        *,
        nths: Sequence[int] | None,
        container: str,
        replica_id: str,
        replica_index: int | None,
    ) -> None:
        self.lines = lines
        self.nths = nths
        """The number of each among those with its stamp; None where all are 0."""
        self.container = container
        self.replica_id = replica_id
        self.replica_index = replica_index
        self._entries: list[Entry] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, at: int) -> Entry: ...

    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...

    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        if isinstance(at, slice) or self._entries is not None:
            return self._list()[at]
        return self._make(self.lines[at], 0 if self.nths is None else self.nths[at])

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._list())

    def _list(self) -> list[Entry]:
        if self._entries is None:
            nths = [0] * len(self.lines) if self.nths is None else self.nths
            self._entries = [self._make(line, nth) for line, nth in zip(self.lines, nths, strict=True)]
        return self._entries

    def _make(self, line: LoggedLine, nth: int) -> Entry:
        return Entry(
            self.container, self.replica_id, line.usec, nth, line.stream, line.text, line.partial, self.replica_index
        )

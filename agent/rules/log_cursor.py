"""Cursors: where a reader stands in the logs of all containers of a service, as one word.

A cursor names, for each container, the line that was read last: `<container>-<microsecond>-<n>`, joined by dots, the
container by 8 characters of its id and the microsecond in hexadecimal. Every line's id is the cursor of who has read
it, so that any line can be resumed from, on any connection and after a restart of any daemon, with nothing remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final

from agent.model.logs import Entry, Position

SLACK_USEC: Final = 2_000_000
"""Stamps of one container's log may run back by so much: its two streams are stamped apart, and clocks are set."""

_MOST_PARTS: Final = 256
_PART = re.compile(r"([0-9a-f]{8})-([0-9a-f]{1,16})-(-1|[0-9]{1,9})")
_STAMPS_KEPT: Final = 4096


def render_position(container: str, position: Position) -> str:
    """One container's part of a cursor."""
    return f"{container}-{position.usec:x}-{position.nth}"


def render_cursor(positions: Mapping[str, Position]) -> str:
    """The cursor of a reader who stands there."""
    return ".".join(render_position(container, position) for container, position in positions.items())


def parse_cursor(text: str) -> dict[str, Position]:
    """Where the reader of this cursor stands; ValueError for what is none."""
    parts = text.split(".")
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"a cursor has at most {_MOST_PARTS} parts")
    positions: dict[str, Position] = {}
    for part in parts:
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"{part[:40]!r} is not a part of a cursor")
        positions[found[1]] = Position(usec=int(found[2], 16), nth=int(found[3]))
    return positions


def advance(positions: MutableMapping[str, Position], entries: Iterable[Entry]) -> list[str]:
    """Move a reader over the entries; the cursor behind each."""
    cursors: list[str] = []
    container, rest = "", ""
    for entry in entries:
        if entry.container != container:
            container = entry.container
            others = {key: value for key, value in positions.items() if key != container}
            rest = "." + render_cursor(others) if others else ""
        positions[container] = entry.position
        cursors.append(f"{container}-{entry.usec:x}-{entry.nth}{rest}")
    return cursors


class Numbering:
    """Numbers the lines of one container's log among those with the same stamp, in the order of the log."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def number(self, usec: int) -> int:
        """The number of the next line with this stamp, from 0."""
        nth = self._counts.get(usec, 0)
        self._counts[usec] = nth + 1
        if len(self._counts) > _STAMPS_KEPT:
            for old in sorted(self._counts)[: _STAMPS_KEPT // 2]:
                del self._counts[old]
        return nth


class Resume:
    """Tells the lines behind a position from those up to it, while a log is read from a little before it.

    The order of the log decides, not the stamps, which may run back a little. When the line of the position is no
    longer there, the lines with a later stamp are those behind it.
    """

    def __init__(self, position: Position) -> None:
        self._position = position
        self._found = position.nth < 0
        self._held: list[Entry] = []

    @property
    def start_usec(self) -> int:
        """Where reading has to begin, in microseconds since 1970."""
        return self._position.usec if self._position.nth < 0 else max(0, self._position.usec - SLACK_USEC)

    @property
    def is_found(self) -> bool:
        """Whether everything from now on is behind the position."""
        return self._found

    def take(self, entry: Entry) -> list[Entry]:
        """The entries that are now known to be behind the position."""
        position = self._position
        if self._found:
            return [entry]
        if entry.usec == position.usec and entry.nth == position.nth:
            self._found = True
            self._held.clear()
            return []
        if entry.usec > position.usec:
            self._held.append(entry)
            if entry.usec > position.usec + SLACK_USEC:
                return self.finish()
        return []

    def finish(self) -> list[Entry]:
        """What is behind the position when its line does not come."""
        held, self._held, self._found = self._held, [], True
        return held


class Skip:
    """Passes over live lines that a reader has had already, up to and with the one at its position."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self.ended = False

    def passes(self, entry: Entry) -> bool:
        """Whether the entry is new to the reader."""
        position = self._position
        if self.ended:
            return True
        if position.nth < 0:
            self.ended = entry.usec >= position.usec
            return self.ended
        if entry.usec == position.usec and entry.nth == position.nth:
            self.ended = True
            return False
        self.ended = entry.usec > position.usec + SLACK_USEC
        return self.ended

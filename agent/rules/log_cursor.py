"""Cursors: where a reader stands in the logs of all containers of a service, as one word.

A cursor names, for each container, the line that was read last: `<container>_<microsecond>-<n>`, joined by dots, the
container by 8 characters of its id. Every line's id is the cursor of who has read it, so that any line can be resumed
from, on any connection and after a restart of any daemon, with nothing remembered. Older ids are read too: their
microsecond is hexadecimal, behind a hyphen.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from itertools import groupby, islice
from operator import attrgetter
from typing import Final

import msgspec

from agent.model.engine import LoggedLine
from agent.model.log_columns import EntryColumns, LineColumns, Stamps
from agent.model.logs import Entry, Position

SLACK_USEC: Final = 2_000_000
"""Stamps of one container's log may run back by so much: its two streams are stamped apart, and clocks are set."""

_MOST_PARTS: Final = 256
_PART = re.compile(r"([0-9a-f]{8})(?:_([0-9]{1,18})|-([0-9a-f]{1,16}))-(-1|[0-9]{1,9})")
_STAMPS_KEPT: Final = 16_384


def render_position(container: str, position: Position) -> str:
    """One container's part of a cursor."""
    return f"{container}_{position.usec}-{position.nth}"


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
        usec = int(found[2]) if found[2] else int(found[3], 16)
        positions[found[1]] = Position(usec=usec, nth=int(found[4]))
    return positions


class Run(msgspec.Struct, frozen=True, gc=False):
    """Entries of one container that follow each other, and the end of a cursor behind any of them."""

    entries: Sequence[Entry]
    rest: str
    """Where the reader stands in the other logs meanwhile, with a dot ahead; empty for none."""


def advance(positions: MutableMapping[str, Position], entries: Sequence[Entry]) -> list[Run]:
    """Move a reader over the entries."""
    groups: Iterable[tuple[str, Sequence[Entry]]]
    if isinstance(entries, EntryColumns):
        groups = [(entries.container, entries)]
    else:
        groups = ((container, list(group)) for container, group in groupby(entries, attrgetter("container")))
    runs: list[Run] = []
    for container, run in groups:
        others = {key: value for key, value in positions.items() if key != container}
        positions[container] = run[-1].position
        runs.append(Run(run, "." + render_cursor(others) if others else ""))
    return runs


def render_ids(run: Run) -> list[str]:
    """The cursor behind each entry."""
    rest = run.rest
    return [f"{entry.container}_{entry.usec}-{entry.nth}{rest}" for entry in run.entries]


class Numbering:
    """Numbers the lines of one container's log among those with the same stamp, in the order of the log."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._newest_usec = -1
        self._alone: deque[Stamps] = deque()
        """The latest ones, as far as each was later than all ahead of it: `_counts` lacks them."""
        self._alone_count = 0

    def number(
        self, lines: Sequence[LoggedLine], *, container: str, replica_id: str, replica_index: int | None
    ) -> Sequence[Entry]:
        """The next lines as entries, numbered from 0 for each stamp."""
        if isinstance(lines, LineColumns):
            nths = None if self._takes_alone(lines.stamps) else self._count(lines.stamps.list_usecs())
            return EntryColumns(
                lines, nths=nths, container=container, replica_id=replica_id, replica_index=replica_index
            )
        nths = self._count([line.usec for line in lines])
        return [
            Entry(container, replica_id, line.usec, nth, line.stream, line.text, line.partial, replica_index)
            for line, nth in zip(lines, nths, strict=True)
        ]

    def _takes_alone(self, stamps: Stamps) -> bool:
        """Whether each line is the first with its stamp, which is easily told of stamps that are all new."""
        count = len(stamps.endings)
        if stamps.first_usec <= self._newest_usec or len(set(stamps.endings)) < count:
            return False
        self._newest_usec = stamps.last_usec
        self._alone.append(stamps)
        self._alone_count += count
        while self._alone_count - len(self._alone[0].endings) >= _STAMPS_KEPT:
            self._alone_count -= len(self._alone.popleft().endings)
        return True

    def _count(self, usecs: Sequence[int]) -> list[int]:
        counts = self._counts
        for stamps in self._alone:
            counts.update(dict.fromkeys(stamps.list_usecs(), 1))
        self._alone.clear()
        self._alone_count = 0
        nths: list[int] = []
        for usec in usecs:
            nth = counts.get(usec, 0)
            counts[usec] = nth + 1
            nths.append(nth)
        self._newest_usec = max(self._newest_usec, max(usecs, default=-1))
        if len(counts) > _STAMPS_KEPT:
            for old in list(islice(counts, len(counts) - _STAMPS_KEPT // 2)):
                del counts[old]
        return nths


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

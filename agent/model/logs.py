"""Lines of containers' logs, and where in a log a reader stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in one container's log: behind the `nth` line (from 0) of those stamped with this microsecond.

    `nth` is -1 ahead of the first line stamped then or later.
    """

    usec: int
    """Microseconds since 1970."""
    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a container's log, with the place that it takes there."""

    container: str
    """The first 8 characters of the container's id."""
    replica_id: str
    usec: int
    nth: int
    stream: str
    text: str
    partial: bool

    @property
    def position(self) -> Position:
        """Where a reader stands who has read this line."""
        return Position(usec=self.usec, nth=self.nth)

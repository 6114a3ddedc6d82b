"""Lines of containers' logs, and where in a log a reader stands."""

from __future__ import annotations

import datetime as dt

import msgspec

from agent.model.engine import EPOCH


class Position(msgspec.Struct, frozen=True, gc=False):
    """A place in one container's log: behind the `nth` line (from 0) of those stamped with this microsecond.

    `nth` is -1 ahead of the first line stamped then or later.
    """

    usec: int
    """Microseconds since 1970."""
    nth: int


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a container's log, with the place that it takes there."""

    container: str
    """The first 8 characters of the container's id."""
    replica_id: str
    usec: int
    nth: int
    stream: str
    text: str
    partial: bool
    replica_index: int | None = None

    @property
    def at(self) -> dt.datetime:
        """The engine's timestamp."""
        return EPOCH + dt.timedelta(microseconds=self.usec)

    @property
    def position(self) -> Position:
        """Where a reader stands who has read this line."""
        return Position(self.usec, self.nth)

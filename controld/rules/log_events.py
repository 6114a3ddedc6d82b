"""Lines of a log as events that a node made: what has to be known of bytes that go on to viewers as they are."""

from __future__ import annotations

import re
from typing import Final

_DROPPED: Final = re.compile(rb"\nevent: dropped\ndata: ([0-9]{1,18})")


def find_last_id(events: bytes) -> str | None:
    """The id of the last event that has one."""
    start = events.rfind(b"\nid: ") + 1  # 0 for the first line; a line of data begins with `data: `
    if not events.startswith(b"id: ", start):
        return None
    return events[start + 4 : events.index(b"\n", start)].decode()


def find_behind(events: bytes, id: str) -> int | None:
    """Where the line with this id ends; None where it is not there."""
    named = f"id: {id}\n".encode()
    start = 0 if events.startswith(named) else events.find(b"\n" + named) + 1
    if not events.startswith(named, start):
        return None
    return events.index(b"\n\n", start) + 2


def count_lines(events: bytes) -> int:
    """How many lines there are in whole events, with those that they say are missing."""
    missing = [int(count) for count in _DROPPED.findall(events)] if b"\nevent: dropped\n" in events else []
    return events.count(b"\n\n") - len(missing) + sum(missing)


def is_same_place(one: str, other: str) -> bool:
    """Whether two ids name the same places in the logs of one node."""
    parts = (id_.partition(":")[2].split(".") for id_ in (one, other))
    return one == other or sorted(next(parts)) == sorted(next(parts))

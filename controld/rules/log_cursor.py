"""Cursors: where a reader stands in the logs of a service on all of its nodes, as one word.

It is `<node>:<cursor>` for each node, joined by commas: the node by the last 12 characters of its id, the cursor as the
node's agent made it. Every event of a stream carries one, so that a stream goes on where it broke off, on whichever
controld, with nothing remembered.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

_KEY_LENGTH: Final = 12
_MOST_CHARACTERS: Final = 6_800
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MOMENT: Final = re.compile(r"s-([0-9a-f]{1,14})")
_PART: Final = re.compile(r"([0-9a-z-]{1,12}):([0-9a-zA-Z._-]+)")


def node_key(node_id: str) -> str:
    """The node's name in cursors."""
    return node_id[-_KEY_LENGTH:]


def render_since(at: dt.datetime) -> str:
    """The place on a node ahead of all that was written since then; no agent makes cursors like it."""
    return f"s-{max(0, (at - _EPOCH) // dt.timedelta(microseconds=1)):x}"


def parse_since(cursor: str) -> dt.datetime | None:
    """The moment that the place was made of; None where an agent made it."""
    found = _MOMENT.fullmatch(cursor)
    return None if found is None else _EPOCH + dt.timedelta(microseconds=int(found[1], 16))


def render_cursor(cursors: Mapping[str, str]) -> str:
    """The word for these places, by node key; empty for none."""
    return ",".join(f"{key}:{cursor}" for key, cursor in cursors.items())


def parse_cursor(text: str) -> dict[str, str]:
    """The place on each node by its key; ValueError for what is no cursor."""
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("it is too long")
    found: dict[str, str] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:40]!r} is not a part of one")
        found[match[1]] = match[2]
    return found

"""Moments in queries: by the calendar, or as so long ago."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from controld.rules.moments import parse_moment
from kit.faults import Invalid

Moment = Annotated[
    str | None,
    msgspec.Meta(
        description="RFC 3339 with an offset, or so long ago, such as `15m`, `2h` or `1d`.",
        examples=["15m", "2026-11-22T08:00:00Z"],
    ),
]
"""What `read_moment` reads."""


def read_moment(name: str, text: str | None, now: dt.datetime) -> dt.datetime | None:
    """What the parameter of that name says; raises Invalid."""
    if text is None:
        return None
    try:
        return parse_moment(text, now)
    except ValueError as error:
        raise Invalid(
            f"cannot read query: {name} is neither a moment such as 2026-11-22T08:00:00Z nor a duration such as 15m",
            details={"field": name},
        ) from error

"""Moments as people write them: by the calendar, or as so long ago."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

_BACK: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)")
_MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_EARLIEST: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def parse_moment(text: str, now: dt.datetime) -> dt.datetime:
    """The moment of RFC 3339 with an offset, or a duration such as `15m`, `2h` or `1h30m` back from now.

    In UTC, and 1970 for what is before it; ValueError for what is neither.
    """
    parts = _BACK.findall(text)
    if parts and "".join(count + unit for count, unit in parts) == text:
        back = sum(int(count) * _MILLISECONDS[unit] for count, unit in parts)
        most = (now - _EARLIEST) // dt.timedelta(milliseconds=1)
        return _EARLIEST if back >= most else now - dt.timedelta(milliseconds=back)
    text = text.upper()
    # A plus sign that was not escaped in a query arrives as a blank.
    moment = dt.datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    if moment.tzinfo is None:
        raise ValueError("it has no offset from UTC")
    if moment.year == dt.MAXYEAR:
        raise ValueError("it is out of range")
    return _EARLIEST if moment < _EARLIEST else moment.astimezone(dt.UTC)


def render_moment(at: dt.datetime) -> str:
    """RFC 3339 in UTC with `Z` and microseconds."""
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}Z"

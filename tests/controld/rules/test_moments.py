"""Moments as people write them."""

from __future__ import annotations

import datetime as dt

import pytest

from controld.rules.moments import parse_moment, render_moment

NOW = dt.datetime(2026, 11, 22, 9, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("15m", NOW - dt.timedelta(minutes=15)),
        ("2h", NOW - dt.timedelta(hours=2)),
        ("1d", NOW - dt.timedelta(days=1)),
        ("1w", NOW - dt.timedelta(weeks=1)),
        ("1h30m", NOW - dt.timedelta(minutes=90)),
        ("500ms", NOW - dt.timedelta(milliseconds=500)),
        ("0s", NOW),
        ("999999999w", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        ("2026-11-22T08:00:00Z", NOW - dt.timedelta(minutes=90)),
        ("2026-11-22T09:00:00.000001+01:00", NOW - dt.timedelta(minutes=90) + dt.timedelta(microseconds=1)),
        ("2026-11-22T09:00:00 01:00", NOW - dt.timedelta(minutes=90)),
        ("2026-11-22t08:00:00z", NOW - dt.timedelta(minutes=90)),
        ("1970-01-01T00:00:00Z", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        ("1970-01-01T00:00:00+14:00", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
        ("0001-01-01T00:00:00+14:00", dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
    ],
)
def test_a_moment_is_read_by_the_calendar_or_back_from_now(text: str, moment: dt.datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "15",
        "-5m",
        "5 m",
        "5M",
        "1.5h",
        "2026-11-22",
        "2026-11-22T08:00:00",
        "9999-12-31T23:59:59-10:00",
    ],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_moment(text, NOW)


def test_a_moment_is_written_in_utc() -> None:
    assert render_moment(parse_moment("2026-11-22T09:00:00.5+01:00", NOW)) == "2026-11-22T08:00:00.500000Z"

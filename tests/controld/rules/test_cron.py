"""Cron schedules: what is one, and which moments it names, also where a zone's clock is set forward and back."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.rules.cron import BadSchedule, Schedule, find_next, parse_schedule

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
"""Its clock is set by half an hour."""
ZONES = (dt.UTC, BERLIN, LORD_HOWE, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu"))
MINUTE = dt.timedelta(minutes=1)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def list_next(text: str, after: str, *, count: int, zone: dt.tzinfo = dt.UTC) -> list[str]:
    """The next moments as the zone's clock shows them."""
    schedule, moment = parse_schedule(text), at(after)
    found = []
    for _ in range(count):
        following = find_next(schedule, moment, zone=zone)
        assert following is not None
        moment = following
        found.append(moment.astimezone(zone).isoformat())
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/15 * * * *", "2026-01-01T00:15:00"),
        ("30 4 * * *", "2026-01-01T04:30:00"),
        ("0 9 * * 1", "2026-01-05T09:00:00"),
        ("0 9 * * 0", "2026-01-04T09:00:00"),
        ("0 9 * * 7", "2026-01-04T09:00:00"),
        ("0 9 * * sat-sun", "2026-01-03T09:00:00"),
        ("0 9 * JUN,december MON", "2026-06-01T09:00:00"),
        ("0 9 ? * 5", "2026-01-02T09:00:00"),
        ("0 0 13 * 5", "2026-01-02T00:00:00"),
        ("10 * * * * *", "2026-01-01T00:00:10"),
        ("*/20 * * * * *", "2026-01-01T00:00:20"),
        ("0 0 9 ? * 2", "2026-01-05T09:00:00"),
        ("0 0 9 * * 1", "2026-01-04T09:00:00"),
        ("0 0 9 ? * 7-1", "2026-01-03T09:00:00"),
        ("0 0 0 13 * 6", "2026-02-13T00:00:00"),
        ("0 0 9 1 1 ? 2030", "2030-01-01T09:00:00"),
        ("0 0 9 29 2 ? *", "2028-02-29T09:00:00"),
        ("0 0 0 1 1 ? 2027-2099/4", "2027-01-01T00:00:00"),
        ("5/20 1 0 * * *", "2026-01-01T00:01:05"),
        ("@hourly", "2026-01-01T01:00:00"),
        ("@daily", "2026-01-02T00:00:00"),
        ("@weekly", "2026-01-04T00:00:00"),
        ("@monthly", "2026-02-01T00:00:00"),
        ("@yearly", "2027-01-01T00:00:00"),
        (" @Daily ", "2026-01-02T00:00:00"),
    ],
)
def test_a_schedule_names_its_next_moment(text: str, expected: str) -> None:
    assert list_next(text, "2026-01-01T00:00:00+00:00", count=1) == [f"{expected}+00:00"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * * * *", "8 fields"),
        ("60 * * * *", "minute 60 is not from 0 to 59"),
        ("* 24 * * *", "hour 24"),
        ("* * 0 * *", "day of the month 0"),
        ("* * * 13 *", "month 13"),
        ("* * * * 8", "day of the week 8"),
        ("* * * * * 0", "day of the week 0 is not from 1 to 7"),
        ("* * * * * * 1969", "year 1969"),
        ("30-10 * * * *", "runs backwards"),
        ("*/0 * * * *", "step of the minute 0"),
        ("? * * * *", "no number, name, range or step"),
        ("1,? * * * *", "no number"),
        ("* * L * *", "no number"),
        ("* * * * 5#2", "no number"),
        ("* * * foo *", "no number"),
        ("1,,2 * * * *", "no number"),
        ("-1 * * * *", "no number"),
        ("\u0661 * * * *", "no number"),
        ("@reboot", "is not one of @hourly"),
        ("@annually", "is not one of"),
        ("1 " * 300, "longer than 512"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(BadSchedule, match=why):
        parse_schedule(text)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 0 1 1 ? 2020", "0 0 0 31 4 ?"])
def test_a_schedule_that_never_comes_has_no_next_moment(text: str) -> None:
    assert find_next(parse_schedule(text), at("2026-01-01T00:00:00+00:00"), zone=dt.UTC) is None


def test_a_moment_within_a_second_leads_to_the_next_one() -> None:
    schedule = parse_schedule("* * * * * *")
    assert find_next(schedule, at("2026-01-01T00:00:00.5+00:00"), zone=dt.UTC) == at("2026-01-01T00:00:01+00:00")
    assert find_next(schedule, at("2026-01-01T00:00:01+00:00"), zone=dt.UTC) == at("2026-01-01T00:00:02+00:00")


def test_a_time_of_day_that_the_clock_skips_comes_at_the_change() -> None:
    found = list_next("30 2 * * *", "2026-03-28T12:00:00+00:00", count=2, zone=BERLIN)
    assert found == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_several_times_that_the_clock_skips_come_once() -> None:
    found = list_next("0,15,30 2,3 * * *", "2026-03-28T12:00:00+00:00", count=3, zone=BERLIN)
    assert found == ["2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00", "2026-03-29T03:30:00+02:00"]


def test_a_pace_goes_on_behind_the_hour_that_the_clock_skips() -> None:
    found = list_next("30 * * * *", "2026-03-29T00:00:00+00:00", count=2, zone=BERLIN)
    assert found == ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]


def test_a_time_of_day_that_comes_twice_counts_the_first_time() -> None:
    found = list_next("30 2 * * *", "2026-10-24T12:00:00+00:00", count=2, zone=BERLIN)
    assert found == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_a_pace_goes_on_through_the_hour_that_comes_twice() -> None:
    found = list_next("*/30 * * * *", "2026-10-25T00:00:00+00:00", count=5, zone=BERLIN)
    assert found == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:00:00+01:00",
        "2026-10-25T03:30:00+01:00",
    ]


FIELD = st.sampled_from(["*", "*/7", "0", "15", "5-40/5", "0,30,59"])
HOUR = st.sampled_from(["*", "*/2", "1", "2", "1-3", "0,2,23"])
DAY = st.sampled_from(["*", "*/2", "1", "25,29", "4-5", "31"])
WEEKDAY = st.sampled_from(["*", "1", "7", "1-5", "SUN", "sat,mon"])
CHANGES = st.sampled_from(
    ["2026-03-29T01:00", "2026-10-25T01:00", "2026-04-04T15:00", "2026-10-03T15:30", "2026-03-08T07:00"]
)


@given(
    minute=FIELD,
    hour=HOUR,
    day=DAY,
    weekday=WEEKDAY,
    is_crontab=st.booleans(),
    zone=st.sampled_from(ZONES),
    near=CHANGES,
    before_minutes=st.integers(-200, 400),
)
def test_the_next_moment_is_that_of_a_model_that_looks_at_every_minute(
    minute: str, hour: str, day: str, weekday: str, *, is_crontab: bool, zone: dt.tzinfo, near: str, before_minutes: int
) -> None:
    text = f"{minute} {hour} {day} * {weekday}" if is_crontab else f"0 {minute} {hour} {day} * {weekday}"
    schedule = parse_schedule(text)
    after = at(f"{near}:00+00:00") - dt.timedelta(minutes=before_minutes)
    expected = _model(schedule, after, zone=zone, minutes=3 * 24 * 60)
    found = find_next(schedule, after, zone=zone)
    if expected is None:
        assert found is None or found > after + dt.timedelta(days=3)
    else:
        assert found == expected


def _model(schedule: Schedule, after: dt.datetime, *, zone: dt.tzinfo, minutes: int) -> dt.datetime | None:
    moment = after
    for _ in range(minutes):
        before = moment.astimezone(zone)
        moment += MINUTE
        here = moment.astimezone(zone)
        if _names(schedule, here) and (schedule.at_intervals or not here.fold):
            return moment
        skipped = here.replace(tzinfo=None) - before.replace(tzinfo=None) - MINUTE
        if skipped > dt.timedelta() and not schedule.at_intervals:
            walls = (before + number * MINUTE for number in range(1, skipped // MINUTE + 1))
            if any(_names(schedule, wall) for wall in walls):
                return moment
    return None


def _names(schedule: Schedule, wall: dt.datetime) -> bool:
    return (
        wall.hour in schedule.hours
        and wall.minute in schedule.minutes
        and wall.month in schedule.months
        and wall.year in schedule.years
        and schedule.matches_day(wall.date())
    )


@given(
    text=st.lists(st.text("0123456789*/-,?@LW# monsatJ", max_size=8), max_size=8).map(" ".join),
    moment=st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1)),
    zone=st.sampled_from(ZONES),
)
def test_any_text_is_a_schedule_with_later_moments_or_is_refused(
    text: str, moment: dt.datetime, zone: dt.tzinfo
) -> None:
    after = moment.replace(tzinfo=dt.UTC)
    try:
        schedule = parse_schedule(text)
    except BadSchedule:
        return
    found = find_next(schedule, after, zone=zone)
    assert found is None or found > after

"""Cron schedules: what their fields mean, and which moments they name in a time zone.

Five fields are those of crontab: minute, hour, day of the month, month, day of the week with 0 and 7 for Sunday; where
both day fields are restricted, either is enough. Six or seven begin with the second and may end with the year; there
the days of the week count from 1 for Sunday to 7, and both day fields have to match.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Final

_NAMED: Final = {
    "@hourly": "0 0 * * * *",
    "@daily": "0 0 0 * * *",
    "@weekly": "0 0 0 * * 1",
    "@monthly": "0 0 0 1 * *",
    "@yearly": "0 0 0 1 1 *",
}
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2099
_LONGEST: Final = 512
_SECOND: Final = dt.timedelta(seconds=1)
_MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class BadSchedule(ValueError):
    """The text is no schedule; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The wall-clock times that a schedule names; each field holds the values that match, in order."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    """Of the month."""
    months: tuple[int, ...]
    weekdays: frozenset[int]
    """0 is Sunday."""
    years: tuple[int, ...]
    either_day: bool
    """A day matches by one of the day fields; otherwise by both."""
    at_intervals: bool
    """The second, minute or hour is any (`*`): it names a pace rather than times of the day."""

    def matches_day(self, day: dt.date) -> bool:
        """Whether the schedule names times on this day."""
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week

    def next_wall(self, start: dt.datetime) -> dt.datetime | None:
        """The first named wall-clock time at or after `start`, both without a zone and in whole seconds; None: never.

        A month has at most 31 days to look at, and years without a match are skipped whole.
        """
        for year in self.years:
            if year < start.year:
                continue
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                first = start.day if (year, month) == (start.year, start.month) else 1
                for number in range(first, _count_days(year, month) + 1):
                    day = dt.date(year, month, number)
                    if not self.matches_day(day):
                        continue
                    earliest = start.time() if day == start.date() else dt.time.min
                    time = self._next_time(earliest)
                    if time is not None:
                        return dt.datetime.combine(day, time)
        return None

    def _next_time(self, earliest: dt.time) -> dt.time | None:
        for hour in self.hours:
            if hour < earliest.hour:
                continue
            for minute in self.minutes:
                if (hour, minute) < (earliest.hour, earliest.minute):
                    continue
                for second in self.seconds:
                    if (hour, minute, second) >= (earliest.hour, earliest.minute, earliest.second):
                        return dt.time(hour, minute, second)
        return None


def parse_schedule(text: str) -> Schedule:
    """The schedule that the text says; raises BadSchedule."""
    stripped = text.strip()
    if len(stripped) > _LONGEST:
        raise BadSchedule(f"it is longer than {_LONGEST} characters")
    if stripped.startswith("@"):
        if stripped.lower() not in _NAMED:
            raise BadSchedule(f"{stripped[:40]!r} is not one of {', '.join(_NAMED)}")
        stripped = _NAMED[stripped.lower()]
    fields = stripped.split()
    if len(fields) not in {5, 6, 7}:
        raise BadSchedule(f"it has {len(fields)} fields, not 5, 6 or 7")
    is_crontab = len(fields) == 5
    second, minute, hour, day, month, weekday, year = _spread(fields)
    weekdays = _parse_field(
        weekday, what="day of the week", least=0 if is_crontab else 1, most=7, names=_DAYS, can_be_open=True
    )
    return Schedule(
        seconds=_parse_field(second, what="second", least=0, most=59),
        minutes=_parse_field(minute, what="minute", least=0, most=59),
        hours=_parse_field(hour, what="hour", least=0, most=23),
        days=frozenset(_parse_field(day, what="day of the month", least=1, most=31, can_be_open=True)),
        months=_parse_field(month, what="month", least=1, most=12, names=_MONTHS),
        weekdays=frozenset(value % 7 if is_crontab else value - 1 for value in weekdays),
        years=_parse_field(year, what="year", least=_FIRST_YEAR, most=_LAST_YEAR),
        either_day=is_crontab and not (day.startswith(("*", "?")) or weekday.startswith(("*", "?"))),
        at_intervals=any(field.startswith("*") for field in (second, minute, hour)),
    )


def find_next(schedule: Schedule, after: dt.datetime, *, zone: dt.tzinfo) -> dt.datetime | None:
    """The first moment behind `after` that the schedule names in the zone, in UTC; None: there is none.

    Where a zone's clock is set forward, times of the day that it skips come at the moment of the change, and those of a
    pace (`at_intervals`) not at all. Where it is set back, times of the day that come twice count the first time, and
    those of a pace both times.
    """
    here = after.astimezone(zone)
    wall = here.replace(tzinfo=None, microsecond=0, fold=0)
    found: dt.datetime | None = None
    start = schedule.next_wall(wall + _SECOND)
    while start is not None and found is None:
        found = min((each for each in _find_moments(schedule, start, zone=zone) if each > after), default=None)
        start = schedule.next_wall(start + _SECOND)
    if not schedule.at_intervals or here.fold or _is_first_of_two(found, zone):
        return found
    again = _find_repeated(schedule, wall, zone=zone)
    return found if again is None or (found is not None and found < again) else again


def _is_first_of_two(moment: dt.datetime | None, zone: dt.tzinfo) -> bool:
    if moment is None:
        return False
    here = moment.astimezone(zone)
    wall = here.replace(tzinfo=None, fold=0)
    return not here.fold and _offset(wall, zone, fold=0) > _offset(wall, zone, fold=1)


def _find_repeated(schedule: Schedule, wall: dt.datetime, *, zone: dt.tzinfo) -> dt.datetime | None:
    """The first time of a pace in the hour that comes again, where `wall` is of its first coming; None elsewhere."""
    back = _offset(wall, zone, fold=0) - _offset(wall, zone, fold=1)
    if back <= dt.timedelta():
        return None
    again = schedule.next_wall(wall - back)
    while again is not None and again <= wall:
        moments = _find_moments(schedule, again, zone=zone)
        if len(moments) == 2:
            return moments[1]
        again = schedule.next_wall(again + _SECOND)
    return None


def _find_moments(schedule: Schedule, wall: dt.datetime, *, zone: dt.tzinfo) -> tuple[dt.datetime, ...]:
    """The moments that the wall-clock time stands for, in UTC and in order."""
    before, behind = _offset(wall, zone, fold=0), _offset(wall, zone, fold=1)
    if before == behind:
        return (_to_utc(wall, before),)
    if before > behind:
        first, second = _to_utc(wall, before), _to_utc(wall, behind)
        return (first, second) if schedule.at_intervals else (first,)
    return () if schedule.at_intervals else (_find_change(wall, before, behind, zone=zone),)


def _find_change(wall: dt.datetime, before: dt.timedelta, behind: dt.timedelta, *, zone: dt.tzinfo) -> dt.datetime:
    """The moment at which the clock skips this wall-clock time."""
    low, high = _to_utc(wall, behind), _to_utc(wall, before)
    while high - low > _SECOND:
        middle = low + ((high - low) // 2 // _SECOND) * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return low if low.astimezone(zone).utcoffset() == behind else high


def _offset(wall: dt.datetime, zone: dt.tzinfo, *, fold: int) -> dt.timedelta:
    return wall.replace(tzinfo=zone, fold=fold).utcoffset() or dt.timedelta()


def _to_utc(wall: dt.datetime, offset: dt.timedelta) -> dt.datetime:
    return (wall - offset).replace(tzinfo=dt.UTC)


def _count_days(year: int, month: int) -> int:
    following = dt.date(year + month // 12, month % 12 + 1, 1)
    return (following - dt.timedelta(days=1)).day


def _spread(fields: Sequence[str]) -> tuple[str, str, str, str, str, str, str]:
    match len(fields):
        case 5:
            whole = ("0", *fields, "*")
        case 6:
            whole = (*fields, "*")
        case _:
            whole = tuple(fields)
    second, minute, hour, day, month, weekday, year = whole
    return second, minute, hour, day, month, weekday, year


def _parse_field(
    text: str, *, what: str, least: int, most: int, names: Sequence[str] = (), can_be_open: bool = False
) -> tuple[int, ...]:
    values: set[int] = set()
    for part in text.split(","):
        if part == "?" and can_be_open and part == text:
            return tuple(range(least, most + 1))
        values.update(_parse_part(part, what=what, least=least, most=most, names=names))
    return tuple(sorted(values))


def _parse_part(part: str, *, what: str, least: int, most: int, names: Sequence[str]) -> range | tuple[int, ...]:
    extent, slash, pace = part.partition("/")
    step = 1
    if slash:
        step = _parse_number(pace, what=f"step of the {what}", least=1, most=most)
    if extent == "*":
        return range(least, most + 1, step)
    low_text, dash, high_text = extent.partition("-")
    low = _parse_value(low_text, what=what, least=least, most=most, names=names)
    if not dash:
        return range(low, most + 1, step) if slash else (low,)
    high = _parse_value(high_text, what=what, least=least, most=most, names=names)
    if low <= high:
        return range(low, high + 1, step)
    if names is not _DAYS:
        raise BadSchedule(f"the {what} {extent!r} runs backwards")
    round_ = [*range(low, least + 7), *range(least, high + 1)]
    return tuple(round_[::step])


def _parse_value(text: str, *, what: str, least: int, most: int, names: Sequence[str]) -> int:
    word = text.lower()
    if len(word) >= 3 and word.isalpha():
        for place, name in enumerate(names):
            if word in {name[:3], name}:
                # Names count from the field's first value: January is 1, and Sunday 0 or 1.
                return least + place
    return _parse_number(text, what=what, least=least, most=most)


def _parse_number(text: str, *, what: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise BadSchedule(f"the {what} {text[:40]!r} is no number, name, range or step")
    value = int(text)
    if not least <= value <= most:
        raise BadSchedule(f"the {what} {value} is not from {least} to {most}")
    return value

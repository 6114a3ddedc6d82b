"""What becomes of a schedule's moments that have come: which is run, and which did not happen."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Final

from controld.rules.cron import Schedule, find_next
from controld.rules.deployment_log import render_moment

_MOST_COUNTED: Final = 500
_WINDOWS: Final = tuple(
    dt.timedelta(seconds=seconds) for seconds in (1, 60, 3600, 86_400, 31 * 86_400, 366 * 86_400, 8 * 366 * 86_400)
)
_TICK: Final = dt.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Moments that came while nobody looked."""

    first_at: dt.datetime
    last_at: dt.datetime
    count: int
    """At the most 501, which stands for more than 500."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DuePlan:
    """What to do about a job that is due."""

    run_for: dt.datetime | None
    """The moment that a run is made for: the last that has come; absent when that is too long ago."""
    missed: Missed | None
    next_run_at: dt.datetime | None


def plan_due(
    schedule: Schedule, due_at: dt.datetime, *, zone: dt.tzinfo, now: dt.datetime, late: dt.timedelta
) -> DuePlan:
    """The plan for a job that is due since `due_at`, which is not behind `now`.

    Of the moments that have come the last is run if it came within `late`; all others did not happen.
    """
    last_at = _find_last(schedule, due_at, zone=zone, now=now)
    next_run_at = find_next(schedule, now, zone=zone)
    if now - last_at > late:
        return DuePlan(
            run_for=None,
            missed=_count(schedule, due_at, zone=zone, until=last_at, last_at=last_at),
            next_run_at=next_run_at,
        )
    missed = None
    if last_at > due_at:
        missed = _count(schedule, due_at, zone=zone, until=last_at - _TICK, last_at=None)
    return DuePlan(run_for=last_at, missed=missed, next_run_at=next_run_at)


def explain_missed(missed: Missed) -> str:
    """A sentence on what did not happen."""
    why = "no control daemon was running then, or its clock was set forward"
    if missed.count == 1:
        return f"the run due at {render_moment(missed.first_at)} did not happen: {why}"
    count = f"more than {_MOST_COUNTED}" if missed.count > _MOST_COUNTED else str(missed.count)
    span = f"from {render_moment(missed.first_at)} to {render_moment(missed.last_at)}"
    return f"{count} due runs {span} did not happen: {why}"


def _find_last(schedule: Schedule, due_at: dt.datetime, *, zone: dt.tzinfo, now: dt.datetime) -> dt.datetime:
    """The last moment that has come; found in the narrowest window that has one, so that few are looked at."""
    last = due_at
    for window in _WINDOWS:
        start = max(now - window, due_at)
        found = find_next(schedule, start - _TICK, zone=zone)
        while found is not None and found <= now:
            last = max(last, found)
            found = find_next(schedule, found, zone=zone)
        if last > due_at or start == due_at:
            break
    return last


def _count(
    schedule: Schedule, first_at: dt.datetime, *, zone: dt.tzinfo, until: dt.datetime, last_at: dt.datetime | None
) -> Missed:
    """The moments from the first to `until`; `last_at` is the last of them where it is known."""
    count, seen = 1, first_at
    while count <= _MOST_COUNTED:
        following = find_next(schedule, seen, zone=zone)
        if following is None or following > until:
            break
        count, seen = count + 1, following
    return Missed(first_at=first_at, last_at=last_at or (seen if count <= _MOST_COUNTED else until), count=count)

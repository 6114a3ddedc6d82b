"""Of the moments that have come the last is run when it is not too long ago; the others did not happen."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.rules.cron import find_next, parse_schedule
from controld.rules.job_schedule import Missed, explain_missed, plan_due

DUE = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def after(**span: float) -> dt.datetime:
    return DUE + dt.timedelta(**span)


@pytest.mark.parametrize(
    ("schedule", "now", "run_for", "missed", "next_run_at"),
    [
        ("0 * * * *", after(seconds=1), DUE, None, after(hours=1)),
        ("0 * * * *", after(minutes=59), DUE, None, after(hours=1)),
        ("0 12 * * *", after(hours=2), None, Missed(first_at=DUE, last_at=DUE, count=1), after(days=1)),
        (
            "*/10 * * * *",
            after(minutes=35),
            after(minutes=30),
            Missed(first_at=DUE, last_at=after(minutes=20), count=3),
            after(minutes=40),
        ),
        (
            "0 12 * * *",
            after(days=28, hours=2),
            None,
            Missed(first_at=DUE, last_at=after(days=28), count=29),
            after(days=29),
        ),
        ("* * * * * *", after(seconds=0.5), DUE, None, after(seconds=1)),
        ("0 0 12 5 1 ? 2026", after(seconds=5), DUE, None, None),
    ],
)
def test_what_becomes_of_moments_that_have_come(
    schedule: str, now: dt.datetime, run_for: dt.datetime | None, *, missed: Missed | None, next_run_at: dt.datetime
) -> None:
    plan = plan_due(parse_schedule(schedule), DUE, zone=dt.UTC, now=now, late=HOUR)
    assert (plan.run_for, plan.missed, plan.next_run_at) == (run_for, missed, next_run_at)


def test_a_long_silence_of_a_quick_schedule_is_told_without_counting_it_through() -> None:
    plan = plan_due(parse_schedule("* * * * * *"), DUE, zone=dt.UTC, now=after(days=400), late=HOUR)
    assert plan.run_for == after(days=400)
    assert plan.missed is not None
    assert plan.missed.count == 501
    assert "more than 500 due runs from 2026-01-05T12:00:00.000Z to" in explain_missed(plan.missed)


def test_what_did_not_happen_is_worded_with_when_it_was_due() -> None:
    one = explain_missed(Missed(first_at=DUE, last_at=DUE, count=1))
    assert one.startswith("the run due at 2026-01-05T12:00:00.000Z did not happen: no control daemon was running")
    several = explain_missed(Missed(first_at=DUE, last_at=after(hours=2), count=3))
    assert several.startswith("3 due runs from 2026-01-05T12:00:00.000Z to 2026-01-05T14:00:00.000Z did not happen")


@given(
    text=st.sampled_from(["*/7 * * * *", "0 */3 * * *", "30 4 * * 1", "*/20 * * * * *", "0 0 1 * *"]),
    silence_seconds=st.integers(0, 40 * 86_400),
    late_minutes=st.integers(1, 3000),
)
def test_every_moment_is_run_or_told_as_missed(text: str, silence_seconds: int, late_minutes: int) -> None:
    schedule, late = parse_schedule(text), dt.timedelta(minutes=late_minutes)
    due_at = find_next(schedule, DUE, zone=dt.UTC)
    assert due_at is not None
    now = due_at + dt.timedelta(seconds=silence_seconds)
    moments = [due_at]
    while (following := find_next(schedule, moments[-1], zone=dt.UTC)) is not None and following <= now:
        moments.append(following)
        if len(moments) > 600:
            break
    plan = plan_due(schedule, due_at, zone=dt.UTC, now=now, late=late)
    assert plan.next_run_at is not None
    assert plan.next_run_at > now
    if len(moments) > 600:
        return
    ran = [] if plan.run_for is None else [plan.run_for]
    assert (plan.run_for is not None) == (now - moments[-1] <= late)
    if ran:
        assert ran == [moments[-1]]
    left = moments[: len(moments) - len(ran)]
    if not left:
        assert plan.missed is None
    else:
        assert plan.missed is not None
        assert plan.missed.first_at == left[0]
        assert plan.missed.count == min(len(left), 501)
        if len(left) <= 500:
            assert plan.missed.last_at == left[-1]

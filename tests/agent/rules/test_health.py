"""Health is earned by steady success, lost by failures in a row, and explained in a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.replica import HealthFacts, Obstacle, Probed, Run, Verdict
from agent.rules.health import (
    BEAT_SECONDS,
    RETRY_SECONDS,
    begin_facts,
    explain_check,
    pace_check,
    takes_connections,
    weigh_check,
)
from wire.spec import Health

RUN = Run(container_id="c1", started_at=None, ip="10.0.0.2", port=8080)
HEALTH = Health(path="/up", timeout_seconds=5, steady_seconds=1.0, interval_seconds=5.0, failures=3)
WELL, ILL = Probed(detail="200"), Probed(obstacle=Obstacle.STATUS, detail="500")


def weigh(facts: HealthFacts, *checks: tuple[float, Probed]) -> HealthFacts:
    for now, probed in checks:
        facts = weigh_check(facts, probed, HEALTH, now=now)
    return facts


def test_a_run_is_healthy_after_steady_success() -> None:
    facts = begin_facts(RUN, now=0.0, adopted=False)
    assert weigh(facts, (0.0, WELL), (0.9, WELL)).verdict is Verdict.STARTING
    assert weigh(facts, (0.0, WELL), (0.9, WELL), (1.0, WELL)).verdict is Verdict.HEALTHY


def test_one_failure_before_that_begins_the_steady_time_anew() -> None:
    facts = weigh(begin_facts(RUN, now=0.0, adopted=False), (0.0, WELL), (0.5, ILL), (0.75, WELL), (1.5, WELL))
    assert facts.verdict is Verdict.STARTING
    assert weigh(facts, (1.75, WELL)).verdict is Verdict.HEALTHY


def test_only_failures_in_a_row_make_it_unhealthy_and_steady_success_heals_it() -> None:
    facts = begin_facts(RUN, now=0.0, adopted=True)
    assert facts.verdict is Verdict.HEALTHY
    facts = weigh(facts, (1, ILL), (2, ILL), (3, WELL), (4, ILL), (5, ILL))
    assert facts.verdict is Verdict.HEALTHY
    facts = weigh(facts, (6, ILL))
    assert (facts.verdict, facts.verdict_at) == (Verdict.UNHEALTHY, 6)
    assert weigh(facts, (7, WELL), (8, WELL)).verdict is Verdict.HEALTHY


def test_checks_are_quick_until_it_is_healthy_and_while_its_health_is_in_doubt() -> None:
    facts = begin_facts(RUN, now=0.0, adopted=False)
    assert pace_check(facts, HEALTH, now=0.1) == RETRY_SECONDS
    facts = weigh(facts, (0.0, WELL), (1.0, WELL))
    assert pace_check(facts, HEALTH, now=1.0) == 5.0
    assert pace_check(facts, HEALTH, now=1.1, hurried=True) == 1.0
    assert pace_check(weigh(facts, (6.1, ILL)), HEALTH, now=6.1) == 1.0


@given(now=st.floats(0, 1e7), interval=st.floats(2 * BEAT_SECONDS, 600))
def test_what_is_healthy_is_checked_on_a_beat_that_all_share_and_not_much_later_than_its_interval(
    now: float, interval: float
) -> None:
    facts = begin_facts(RUN, now=0.0, adopted=True)
    health = Health(path="/up", timeout_seconds=5, interval_seconds=interval)
    seconds = pace_check(facts, health, now=now)
    beats = (now + seconds) / BEAT_SECONDS
    assert beats == pytest.approx(round(beats), abs=1e-6)
    assert interval - BEAT_SECONDS < seconds <= interval + 0.051


@given(late=st.lists(st.floats(-0.01, 0.4), min_size=1, max_size=20))
def test_a_timer_that_ends_early_or_a_check_that_takes_its_time_does_not_change_the_pace(late: list[float]) -> None:
    facts = begin_facts(RUN, now=0.0, adopted=True)
    due = 100.0
    for seconds in late:
        now = due + seconds
        due = now + pace_check(facts, HEALTH, now=now)
    assert due == pytest.approx(100.0 + 5.0 * len(late))


def test_an_interval_shorter_than_two_beats_is_kept_to() -> None:
    facts = begin_facts(RUN, now=0.0, adopted=True)
    assert pace_check(facts, Health(path="/up", timeout_seconds=5, interval_seconds=0.3), now=7.1) == 0.3


@pytest.mark.parametrize(
    ("probed", "sentence", "takes"),
    [
        (Probed(obstacle=Obstacle.REFUSED), "cannot check its health: nothing listens on port 8080", False),
        (
            Probed(obstacle=Obstacle.SILENT),
            "cannot confirm its health: GET /up on port 8080 did not answer within 5 s",
            True,
        ),
        (ILL, "cannot confirm its health: GET /up on port 8080 answered 500, not 2xx or 3xx", True),
        (
            Probed(obstacle=Obstacle.GARBLED, detail="bad status line"),
            "cannot confirm its health: GET /up on port 8080 did not answer in HTTP (bad status line)",
            True,
        ),
        (
            Probed(obstacle=Obstacle.UNREACHABLE, detail="no route"),
            "cannot check its health: its address cannot be reached (no route)",
            False,
        ),
    ],
)
def test_each_obstacle_has_its_sentence(probed: Probed, sentence: str, takes: bool) -> None:
    assert explain_check(probed, HEALTH, 8080) == sentence
    assert takes_connections(weigh(begin_facts(RUN, now=0.0, adopted=True), (1.0, probed))) is takes

"""Decides from health checks whether a run of a replica may take traffic, and words what stands in the way."""

from __future__ import annotations

import dataclasses
from typing import Final

from agent.model.replica import HealthFacts, Obstacle, Probed, Run, Verdict
from wire.spec import Health

RETRY_SECONDS: Final = 0.2
"""The pace of checks until a run is healthy for the first time."""
BEAT_SECONDS: Final = 0.5
"""Checks of runs that are well are due at multiples of this: one that wakes the agent for itself alone costs it twice
what one in company does."""
_SLACK_SECONDS: Final = 0.05
"""So much later than its pace says a check may be, for a timer that ended a moment early to meet the next beat."""


def begin_facts(run: Run, *, now: float, adopted: bool) -> HealthFacts:
    """What is known of a run before its first check; an adopted one took traffic before the agent started."""
    return HealthFacts(run=run, verdict=Verdict.HEALTHY if adopted else Verdict.STARTING, verdict_at=now)


def weigh_check(facts: HealthFacts, probed: Probed, health: Health, *, now: float) -> HealthFacts:
    """The facts after one more check.

    A run is promoted after `steady_seconds` of checks that all succeed, and again after it was unhealthy;
    `failures` checks in a row that do not succeed make a healthy run unhealthy.
    """
    if not probed.ok:
        failures = facts.failures + 1
        sinks = facts.verdict is Verdict.HEALTHY and failures >= health.failures
        return dataclasses.replace(
            facts,
            verdict=Verdict.UNHEALTHY if sinks else facts.verdict,
            verdict_at=now if sinks else facts.verdict_at,
            steady_since=None,
            failures=failures,
            last=probed,
        )
    steady_since = now if facts.steady_since is None else facts.steady_since
    rises = facts.verdict is not Verdict.HEALTHY and now - steady_since >= health.steady_seconds
    return dataclasses.replace(
        facts,
        verdict=Verdict.HEALTHY if rises else facts.verdict,
        verdict_at=now if rises else facts.verdict_at,
        steady_since=steady_since,
        failures=0,
        last=probed,
    )


def pace_check(facts: HealthFacts, health: Health, *, now: float, hurried: bool = False) -> float:
    """Seconds until the next check; `hurried` while the engine does not answer, so that nothing can be told of it.

    A run that is well is checked at the last beat within its interval, all others when their time has come.
    """
    if facts.verdict is Verdict.HEALTHY:
        unsure = facts.failures > 0 and facts.steady_since is None
        if unsure or hurried:
            return min(health.interval_seconds, 1.0)
        return _meet_beat(health.interval_seconds, now=now)
    if facts.steady_since is not None or facts.verdict is Verdict.STARTING:
        return RETRY_SECONDS
    return min(health.interval_seconds, 1.0)


def _meet_beat(seconds: float, *, now: float) -> float:
    if seconds < 2 * BEAT_SECONDS:
        return seconds
    return (now + seconds + _SLACK_SECONDS) // BEAT_SECONDS * BEAT_SECONDS - now


def takes_connections(facts: HealthFacts) -> bool:
    """Whether something still listens at the run's address, as far as the last check showed."""
    return facts.last is None or facts.last.obstacle not in {Obstacle.REFUSED, Obstacle.UNREACHABLE}


def explain_check(probed: Probed, health: Health, port: int) -> str:
    """A sentence on a check that did not succeed."""
    asked = f"GET {health.path} on port {port}"
    match probed.obstacle:
        case None:
            return f"{asked} answered {probed.detail}"
        case Obstacle.REFUSED:
            return f"cannot check its health: nothing listens on port {port}"
        case Obstacle.UNREACHABLE:
            return f"cannot check its health: its address cannot be reached ({probed.detail})"
        case Obstacle.SILENT:
            return f"cannot confirm its health: {asked} did not answer within {health.timeout_seconds} s"
        case Obstacle.STATUS:
            return f"cannot confirm its health: {asked} answered {probed.detail}, not 2xx or 3xx"
        case Obstacle.GARBLED:
            return f"cannot confirm its health: {asked} did not answer in HTTP ({probed.detail})"

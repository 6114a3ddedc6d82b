"""Words what the node observes of a replica: its state, and why it is not well."""

from __future__ import annotations

from agent.model.engine import ContainerState
from agent.model.plan import Plan
from agent.model.replica import ReplicaMemory, Verdict
from agent.model.standing import Standing
from agent.rules.health import explain_check
from agent.rules.restarts import RAPID_EXITS, explain_exit
from wire.link import ReplicaState
from wire.spec import Wanted

Word = tuple[ReplicaState, str | None]
"""A state, and the sentence that explains it."""


def describe_replica(standing: Standing, known: ReplicaMemory, plan: Plan, *, pulling: bool) -> Word | None:
    """The word on a replica; None for one that has drained and is gone."""
    word = _describe(standing, known, plan, pulling=pulling)
    if word is None or word[0] is ReplicaState.HEALTHY:
        return word
    state, reason = word
    return state, reason or known.unanswered


def _describe(standing: Standing, known: ReplicaMemory, plan: Plan, *, pulling: bool) -> Word | None:
    if standing.replica.wanted is Wanted.DRAINING:
        return None if standing.container is None else (ReplicaState.DRAINING, None)
    if standing.container is None:
        return _describe_missing(standing, known, plan, pulling=pulling)
    match standing.container.state:
        case ContainerState.CREATED:
            return _describe_unstarted(known)
        case ContainerState.RUNNING:
            return _describe_running(standing, known)
        case ContainerState.PAUSED:
            return ReplicaState.UNHEALTHY, "cannot serve: its container is paused"
        case ContainerState.RESTARTING | ContainerState.EXITED | ContainerState.DEAD | ContainerState.REMOVING:
            return _describe_ended(standing, known)


def _describe_missing(standing: Standing, known: ReplicaMemory, plan: Plan, *, pulling: bool) -> Word:
    reason = plan.blocked.get(standing.replica.id)
    if reason is not None:
        return ReplicaState.FAILED, reason
    if known.setback is not None:
        return ReplicaState.FAILED if known.setback.final else ReplicaState.PENDING, known.setback.message
    return (ReplicaState.PULLING if pulling else ReplicaState.PENDING), None


def _describe_unstarted(known: ReplicaMemory) -> Word:
    if known.setback is None:
        return ReplicaState.STARTING, None
    return ReplicaState.FAILED if known.setback.final else ReplicaState.STARTING, known.setback.message


def _describe_running(standing: Standing, known: ReplicaMemory) -> Word:
    replica, facts = standing.replica, standing.facts
    if standing.run is None:
        return ReplicaState.STARTING, "cannot check its health: it has no address on the node's network"
    if facts is None:
        return ReplicaState.STARTING, None
    if facts.verdict is Verdict.HEALTHY:
        return ReplicaState.HEALTHY, None
    hindered = facts.last is not None and not facts.last.ok
    reason = explain_check(facts.last, replica.health, replica.port) if facts.last and hindered else None
    if facts.verdict is Verdict.UNHEALTHY:
        return ReplicaState.UNHEALTHY, reason or "it answers again and has to stay so for a moment"
    if known.exits and known.stopped_because is None:
        ended = explain_exit(known, memory_limit_bytes=replica.limits.memory_bytes)
        return ReplicaState.STARTING, f"{reason}; before that {ended}" if reason else f"started again: {ended}"
    return ReplicaState.STARTING, reason


def _describe_ended(standing: Standing, known: ReplicaMemory) -> Word:
    if known.setback is not None and known.setback.final:
        return ReplicaState.FAILED, known.setback.message
    if known.stopped_because is not None and known.exit_code is None:
        return ReplicaState.UNHEALTHY, f"it is restarted because {known.stopped_because}"
    ended = explain_exit(known, memory_limit_bytes=standing.replica.limits.memory_bytes)
    rapid = standing.container is not None and standing.container.state is ContainerState.RESTARTING
    if rapid and known.exits < RAPID_EXITS:
        return ReplicaState.STARTING, ended
    return ReplicaState.EXITED, f"{ended}; it is started again with back-off"

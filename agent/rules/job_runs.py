"""Decides what is done next for an attempt of a job's run, and words how it stands."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Final

from agent.model.engine import Container, ContainerState
from agent.model.job_run import Close, End, Make, Note, Setback, Start, Step, Wait
from agent.rules.restarts import compute_backoff_seconds
from kit.faults import Fault
from wire.link import EndedBy, JobRunReport, JobRunState
from wire.spec import JobRun

_LASTING_CODES: Final = frozenset({"image_not_found", "registry_denied", "start_failed"})
_DOUBTFUL_TRIES: Final = 3
_FORCE_AFTER: Final = 2
"""So many stops in vain, and the container is removed with what runs in it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of an attempt at one moment; moments are seconds of the monotonic clock."""

    container: Container | None
    note: Note
    setback: Setback | None = None
    deadline: float | None = None
    """When its time is over; None while it has not been seen to run."""


def decide_job_run(run: JobRun, seen: Seen, *, now: float) -> Step:
    """The step to take now.

    A container is started at most once: what was begun, by this agent's notes or by controld's word, and has no
    container any more is closed as lost.
    """
    container, note = seen.container, seen.note
    if note.report is not None:
        return Wait()
    if container is None:
        return _decide_missing(run, seen, now=now)
    match container.state:
        case ContainerState.CREATED:
            if container.error is not None:
                return Close(_failed(run, f"its container cannot be started: {container.error}"))
            if run.cancelled:
                return Close(_unstarted(run, EndedBy.CANCEL))
            return _after_backoff(seen.setback, now=now) or Start(container.id)
        case ContainerState.RUNNING | ContainerState.PAUSED | ContainerState.RESTARTING:
            because = note.ending or _find_ending(run, seen.deadline, now=now)
            if because is None:
                return Wait(None if seen.deadline is None else seen.deadline - now)
            tries = 0 if seen.setback is None else seen.setback.count
            return _after_backoff(seen.setback, now=now) or End(
                container.id, because=because, by_force=tries >= _FORCE_AFTER
            )
        case ContainerState.EXITED | ContainerState.DEAD:
            return Close(_ended(run, container, note.ending))
        case ContainerState.REMOVING:
            return Wait()


def describe_job_run(run: JobRun, seen: Seen) -> JobRunReport:
    """How the attempt stands; it counts as running until how it ended is written down."""
    if seen.note.report is not None:
        return seen.note.report
    container = seen.container
    if container is not None and container.state is not ContainerState.CREATED:
        return JobRunReport(key=run.key, state=JobRunState.RUNNING, started_at=container.started_at)
    if container is None and (seen.note.begun or run.begun):
        return JobRunReport(key=run.key, state=JobRunState.RUNNING)
    reason = None if seen.setback is None else seen.setback.message
    return JobRunReport(key=run.key, state=JobRunState.PENDING, reason=reason)


def find_deadline(run: JobRun, container: Container, *, now: float, at: dt.datetime, is_new: bool) -> float:
    """When the attempt's time is over, by the monotonic clock; `is_new`: this agent has started it just now.

    The wall clock is asked only for what ran before this agent did.
    """
    if is_new or container.started_at is None:
        return now + run.timeout_seconds
    spent = (at - container.started_at).total_seconds()
    return now + run.timeout_seconds - min(max(spent, 0.0), run.timeout_seconds)


def note_setback(setback: Setback | None, fault: Fault, *, now: float) -> Setback:
    """The setback after an action failed; what may pass by itself is final only after three tries in a row."""
    count = 1 if setback is None else setback.count + 1
    final = fault.code in _LASTING_CODES or count >= _DOUBTFUL_TRIES
    return Setback(count=count, at=now, message=fault.message, final=final)


def _decide_missing(run: JobRun, seen: Seen, *, now: float) -> Step:
    note = seen.note
    if note.ending is not None:
        return Close(_unstarted(run, note.ending))
    if note.begun or run.begun:
        return Close(_failed(run, "its container is gone: somebody removed it, or the engine lost it"))
    if run.cancelled:
        return Close(_unstarted(run, EndedBy.CANCEL))
    if seen.setback is not None and seen.setback.final:
        return Close(_failed(run, seen.setback.message))
    return _after_backoff(seen.setback, now=now) or Make()


def _after_backoff(setback: Setback | None, *, now: float) -> Wait | None:
    if setback is None:
        return None
    wait = setback.at + compute_backoff_seconds(setback.count) - now
    return Wait(wait) if wait > 0 else None


def _find_ending(run: JobRun, deadline: float | None, *, now: float) -> EndedBy | None:
    if run.cancelled:
        return EndedBy.CANCEL
    return EndedBy.TIMEOUT if deadline is not None and now >= deadline else None


def _failed(run: JobRun, reason: str) -> JobRunReport:
    return JobRunReport(key=run.key, state=JobRunState.FAILED, reason=reason)


def _unstarted(run: JobRun, because: EndedBy) -> JobRunReport:
    return JobRunReport(key=run.key, state=JobRunState.ENDED, ended_by=because, reason=_explain(run, because))


def _ended(run: JobRun, container: Container, because: EndedBy | None) -> JobRunReport:
    reason = None
    if because is not None:
        reason = _explain(run, because)
    elif container.oom_killed:
        reason = f"it was killed because it passed its memory limit of {run.limits.memory_bytes} bytes"
    elif container.exit_code:
        reason = f"it exited with code {container.exit_code}"
    return JobRunReport(
        key=run.key,
        state=JobRunState.ENDED,
        started_at=container.started_at,
        finished_at=container.finished_at,
        exit_code=container.exit_code,
        oom_killed=container.oom_killed,
        ended_by=because,
        reason=reason,
    )


def _explain(run: JobRun, because: EndedBy) -> str:
    match because:
        case EndedBy.TIMEOUT:
            return f"it was ended: it ran longer than its timeout of {run.timeout_seconds:g} seconds"
        case EndedBy.CANCEL:
            return "it was cancelled"

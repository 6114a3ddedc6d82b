"""The next step of a job's run, decided from what is known of it at one moment."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from controld.model.fleet import NodeFacts
from controld.model.job import JobLaunch, JobRun
from controld.model.node import NodeState
from controld.model.service import GitSource
from controld.rules.deployment_gate import describe_nodes
from controld.rules.placement import NO_LOAD, Load, describe_state
from wire.link import EndedBy, JobRunReport, JobRunState
from wire.spec import JobRun as NodeRun
from wire.spec import Origin

_LONGEST_BACK_OFF: Final = dt.timedelta(seconds=60)
_ENDED: Final = frozenset({JobRunState.ENDED, JobRunState.FAILED})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the parts of an attempt may take, and how many runs are on nodes at one time."""

    placement: dt.timedelta = dt.timedelta(minutes=5)
    build: dt.timedelta = dt.timedelta(minutes=15)
    pull: dt.timedelta = dt.timedelta(minutes=10)
    start: dt.timedelta = dt.timedelta(minutes=2)
    end: dt.timedelta = dt.timedelta(minutes=5)
    """Behind an attempt's timeout, for its node to end it for certain and to say so."""
    lost: dt.timedelta = dt.timedelta(seconds=60)
    """A node that is set aside and silent for so long counts as lost."""
    timeout_seconds: int = 3600
    """Of an attempt whose job says none."""
    at_once: int = 16
    per_node: int = 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the decision looks at."""

    now: dt.datetime
    run: JobRun
    launch: JobLaunch
    nodes: tuple[NodeFacts, ...]
    taken: Mapping[str, int]
    """How many other runs are on each node."""
    loads: Mapping[str, Load]
    is_next: bool = True
    """No older run waits for a node."""

    @property
    def node(self) -> NodeFacts | None:
        """The run's node, unless it was removed."""
        return next((node for node in self.nodes if node.id == self.run.node_id), None)

    @property
    def report(self) -> JobRunReport | None:
        """What the node says of the attempt."""
        if self.run.config is None or self.node is None:
            return None
        return self.node.job_runs.get(self.run.config.key)


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before something changes, or until a moment that the run names."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hold:
    """It is the run's turn and no node takes it: wait, until a deadline from now on."""

    deadline_at: dt.datetime
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Carry the attempt out on this node, whose image has to be there by the deadline."""

    node_id: str
    deadline_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Unplace:
    """Choose a node anew: it was lost before the attempt was handed to it, or there is one again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Acquire:
    """Carry out, or join, the pull or build of the image on the attempt's node."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dispatch:
    """Hand the attempt to its node, which has to start it by the deadline."""

    config: NodeRun
    deadline_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Begin:
    """The node says that the attempt runs; its end has to be told by the deadline."""

    started_at: dt.datetime
    deadline_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Follow:
    """The attempt is its node's: keep what it says, until something of it changes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Succeed:
    """The attempt ended with code 0."""

    report: JobRunReport


@dataclasses.dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed; another is due at that moment."""

    reason: str
    retry_at: dt.datetime
    report: JobRunReport | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Fail:
    """The run failed, with its last attempt."""

    reason: str
    report: JobRunReport | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Skip:
    """No node could take the run: it does not happen."""

    reason: str


Step = Wait | Hold | Place | Unplace | Acquire | Dispatch | Begin | Follow | Succeed | Retry | Fail | Skip


def decide_run(facts: Facts, timing: Timing) -> Step:
    """The step to take now.

    Whatever nodes report or fail to report, repeated asking at growing moments ends in `Succeed`, `Fail` or `Skip`.
    """
    run = facts.run
    if run.config is not None:
        return _decide_dispatched(facts, timing)
    if run.cancel_requested_at is not None:
        return Fail(run.reason or "cancelled")
    if run.retry_at is not None and facts.now < run.retry_at:
        return Wait()
    if run.node_id is None:
        return _decide_waiting(facts, timing)
    if run.image is None:
        return _decide_acquiring(facts, timing)
    if _is_lost(facts, timing):
        return Unplace()
    return Dispatch(make_config(facts, timing), facts.now + timing.start)


def fail_attempt(facts: Facts, reason: str, *, report: JobRunReport | None = None) -> Retry | Fail:
    """What follows on an attempt that failed: another after a back-off that doubles up to a minute, or the end."""
    run, job = facts.run, facts.launch.job
    if run.cancel_requested_at is not None:
        return Fail(run.reason or "cancelled", report)
    if run.attempt > job.max_retries:
        return Fail(reason, report)
    wait = min(dt.timedelta(seconds=2 ** min(run.attempt - 1, 10)), _LONGEST_BACK_OFF)
    return Retry(reason, facts.now + wait, report)


def make_config(facts: Facts, timing: Timing) -> NodeRun:
    """The attempt as its node gets it; `MOORAGE_*` are added where the job does not set them itself."""
    run, launch, image = facts.run, facts.launch, facts.run.image
    assert image is not None
    job = launch.job
    added = {
        "MOORAGE_PROJECT": launch.project,
        "MOORAGE_JOB": job.name,
        "MOORAGE_JOB_ID": job.id,
        "MOORAGE_JOB_RUN_ID": run.id,
        "MOORAGE_JOB_ATTEMPT": str(run.attempt),
    }
    return NodeRun(
        id=run.id,
        attempt=run.attempt,
        job_id=job.id,
        project=launch.project,
        job=job.name,
        image=image.image,
        origin=image.origin,
        limits=launch.limits,
        timeout_seconds=float(job.timeout_seconds or timing.timeout_seconds),
        env=tuple({**added, **dict(launch.env)}.items()),
        command=job.command,
    )


def choose_node(
    nodes: Sequence[NodeFacts],
    *,
    taken: Mapping[str, int],
    loads: Mapping[str, Load],
    per_node: int,
) -> str | None:
    """The ready node with a place for a run that has the fewest runs, then the least load, then by id; or None."""
    open_ones = [node for node in nodes if node.state is NodeState.READY and taken.get(node.id, 0) < per_node]
    if not open_ones:
        return None
    return min(
        open_ones,
        key=lambda node: (
            taken.get(node.id, 0),
            loads.get(node.id, NO_LOAD).memory_bytes,
            node.id,
        ),
    ).id


def _decide_waiting(facts: Facts, timing: Timing) -> Step:
    run, now = facts.run, facts.now
    if any(node.state is NodeState.READY for node in facts.nodes):
        node_id = None
        if facts.is_next and sum(facts.taken.values()) < timing.at_once:
            node_id = choose_node(facts.nodes, taken=facts.taken, loads=facts.loads, per_node=timing.per_node)
        if node_id is not None:
            return Place(node_id, now + _acquire_time(facts, timing))
        return Wait() if run.deadline_at is None else Unplace()
    if run.deadline_at is None:
        return Hold(now + timing.placement, f"waiting for a node: {describe_nodes(facts.nodes)}")
    if now < run.deadline_at:
        return Wait()
    reason = f"no node could take it: {describe_nodes(facts.nodes)}"
    return Skip(reason) if run.attempt == 1 else Fail(reason)


def _decide_acquiring(facts: Facts, timing: Timing) -> Step:
    run = facts.run
    if _is_lost(facts, timing):
        return Unplace()
    if run.deadline_at is not None and facts.now >= run.deadline_at:
        seconds = _acquire_time(facts, timing).total_seconds()
        return fail_attempt(facts, f"its image could not be had within {seconds:.0f} seconds")
    return Acquire()


def _acquire_time(facts: Facts, timing: Timing) -> dt.timedelta:
    return timing.build if isinstance(facts.launch.job.source, GitSource) else timing.pull


def _decide_dispatched(facts: Facts, timing: Timing) -> Step:
    run, node, report = facts.run, facts.node, facts.report
    if report is not None and report.state in _ENDED:
        return _decide_ended(facts, report)
    if node is None:
        return fail_attempt(facts, "its node was removed")
    if _is_lost(facts, timing):
        return fail_attempt(facts, f"its node was lost: node {node.name} {describe_state(node)}")
    if not run.begun and report is not None and report.state is JobRunState.RUNNING:
        assert run.config is not None
        most = dt.timedelta(seconds=run.config.timeout_seconds + run.config.stop_seconds)
        return Begin(report.started_at or facts.now, facts.now + most + timing.end)
    late = run.deadline_at is not None and facts.now >= run.deadline_at
    # A node that is silent may have started or ended it: that shows when it is heard again, or lost.
    if not late or node.state is NodeState.SUSPECT:
        return Follow()
    what = "tell its end" if run.begun else "start it"
    why = "" if report is None or report.reason is None else f": {report.reason}"
    return fail_attempt(facts, f"node {node.name} did not {what} in time{why}")


def _decide_ended(facts: Facts, report: JobRunReport) -> Step:
    cancelled = facts.run.cancel_requested_at is not None
    if report.state is JobRunState.ENDED and report.exit_code == 0 and report.ended_by is None:
        return Succeed(report)
    if cancelled and report.ended_by is EndedBy.CANCEL:
        return Fail(facts.run.reason or "cancelled", report)
    return fail_attempt(facts, report.reason or "its node does not say why", report=report)


def _is_lost(facts: Facts, timing: Timing) -> bool:
    node = facts.node
    if node is None or node.state in {NodeState.LOST, NodeState.REMOVED}:
        return True
    if node.state in {NodeState.DRAINING, NodeState.DRAINED}:
        return node.heard_at is None or facts.now - node.heard_at >= timing.lost
    return False


def keeps_image(run: JobRun) -> bool:
    """Whether the next attempt can do without acquiring the image again: every node can have it."""
    return run.image is not None and run.image.origin is Origin.HOSTED

"""The steps of jobs' runs: each is decided by a rule, taken under a lease and safe to take again."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import uuid
from typing import Any, Final

from controld.core.deployment_work import Interrupted, Unreached, Works
from controld.core.job_facts import JobFactsReader
from controld.core.job_follow import Follower
from controld.core.job_output import OutputTaken
from controld.core.ports import Database, Transaction
from controld.core.ports_deployments import FleetFacts
from controld.core.ports_jobs import JobRunLogStore, JobRunStore
from controld.model.deployment import DeploymentRequest, GitRequest, ImageRequest
from controld.model.job import JobRun, RunImage, RunStatus
from controld.model.service import ExternalImageSource, GitSource
from controld.model.work import WorkOrder
from controld.rules import deployment_log as phases
from controld.rules import job_log
from controld.rules.deployment_gate import find_node
from controld.rules.job_run import (
    Acquire,
    Begin,
    Dispatch,
    Facts,
    Fail,
    Follow,
    Hold,
    Place,
    Retry,
    Skip,
    Step,
    Succeed,
    Timing,
    Unplace,
    Wait,
    decide_run,
    fail_attempt,
    keeps_image,
)
from kit.clock import Clock
from kit.faults import Fault
from kit.ids import Ids
from wire.agent.builds import WorkDone, WorkFailed
from wire.link import JobRunReport

_log = logging.getLogger(__name__)

_UNREACHED_SECONDS: Final = 2.0
_KEPT_REASON_CHARACTERS: Final = 2000
_WORKS: Final = uuid.UUID("0d6c1a4e-7f5b-4b0e-9a53-6d1f1f0c2f6b")
"""Names the space of the ids under which nodes do the work of attempts."""
_NO_ATTEMPT: Final[dict[str, Any]] = {
    "node_id": None,
    "config": None,
    "begun": False,
    "deadline_at": None,
    "log_cursor": None,
}


class _LeaseLost(Exception):
    """Another has the run now, or it has ended: nothing of this step may be written."""


class JobSteps:
    """Takes the steps of runs; any number of processes may try at one time."""

    def __init__(
        self,
        *,
        database: Database,
        runs: JobRunStore,
        logs: JobRunLogStore,
        facts: JobFactsReader,
        fleet: FleetFacts,
        works: Works,
        follower: Follower,
        clock: Clock,
        ids: Ids,
        timing: Timing,
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._runs = runs
        self._logs = logs
        self._facts = facts
        self._fleet = fleet
        self._works = works
        self._follower = follower
        self._clock = clock
        self._ids = ids
        self._timing = timing
        self._lease_seconds = lease_seconds

    async def take_over(self) -> None:
        """Drop leases that a process before this one left; for the only controld of a database, at its start."""
        async with self._database.write() as tx:
            await self._runs.release_all(tx)

    async def list_due(self) -> list[str]:
        """Runs whose next step may be ready: those on a node or to be cancelled, then those whose turn it is."""
        now = self._clock.now()
        async with self._database.read() as tx:
            active = await self._runs.list_active(tx)
        placed = [each.id for each in active if each.node_id is not None]
        cancelled = [each.id for each in active if each.node_id is None and each.cancel_requested_at is not None]
        waiting = [
            each.id
            for each in active
            if each.node_id is None
            and each.cancel_requested_at is None
            and (each.retry_at is None or each.retry_at <= now)
        ]
        return placed + cancelled + waiting[: max(self._timing.at_once - len(placed), 0)]

    async def advance(self, run_id: str) -> float | None:
        """Take every step that is ready; how many seconds to leave it alone before it is tried again, or None."""
        nodes = await self._fleet.list_nodes()
        async with self._database.read() as tx:
            run = await self._runs.find(tx, run_id)
            if run is None or run.status.is_finished:
                return None
            facts = await self._facts.read(tx, run, nodes)
            if facts is None or isinstance(decide_run(facts, self._timing), Wait):
                return None
        owner = self._ids.new_id()
        claimed = await self._claim(run_id, owner)
        if claimed is None:
            return None
        try:
            return await self._take_steps(claimed, owner)
        except (_LeaseLost, OutputTaken):
            return None
        finally:
            with contextlib.suppress(Fault):
                async with self._database.write() as tx:
                    await self._runs.release(tx, run_id, owner=owner)

    async def give_up(self, run_id: str, *, why: str) -> None:
        """End the run as failed whatever breaks its steps; its node ends what it runs of it."""
        owner = self._ids.new_id()
        run = await self._claim(run_id, owner)
        if run is None:
            return
        changes = _describe_end(Fail(why), None, now=self._clock.now(), run=run)
        async with self._database.write() as tx:
            await self._change(tx, run, owner, **changes)
            await self._tell(tx, run, job_log.END, why)

    async def _claim(self, run_id: str, owner: str) -> JobRun | None:
        now = self._clock.now()
        async with self._database.write() as tx:
            return await self._runs.claim(
                tx, run_id, owner=owner, now=now, until=now + dt.timedelta(seconds=self._lease_seconds)
            )

    async def _take_steps(self, run: JobRun, owner: str) -> float | None:
        while True:
            nodes = await self._fleet.list_nodes()
            async with self._database.write() as tx:
                await tx.lock("job runs at once")
                found = await self._runs.find(tx, run.id)
                facts = None if found is None else await self._facts.read(tx, found, nodes)
                if facts is None or facts.run.status.is_finished:
                    return None
                run, step = facts.run, decide_run(facts, self._timing)
                if isinstance(step, (Hold, Place, Unplace, Dispatch, Begin)):
                    await self._apply(tx, step, facts, owner)
            match step:
                case Wait():
                    return None
                case Hold() | Place() | Unplace() | Dispatch() | Begin():
                    continue
                case Acquire():
                    pause = await self._acquire(facts, owner)
                    if pause is not None:
                        return pause
                case Follow():
                    await self._follower.follow(facts, owner=owner, timing=self._timing)
                case Succeed() | Retry() | Fail() | Skip():
                    await self._end(facts, step, owner)
                    return None

    async def _apply(self, tx: Transaction, step: Step, facts: Facts, owner: str) -> None:
        run = facts.run
        match step:
            case Hold(deadline_at=deadline_at, reason=reason):
                await self._change(tx, run, owner, deadline_at=deadline_at, reason=reason)
                await self._tell(tx, run, phases.START, reason)
            case Place(node_id=node_id, deadline_at=deadline_at):
                await self._change(tx, run, owner, node_id=node_id, deadline_at=deadline_at, retry_at=None, reason=None)
                await self._tell(tx, run, phases.START, f"attempt {run.attempt} on node {_name(facts, node_id)}")
            case Unplace():
                await self._change(tx, run, owner, image=None, **_NO_ATTEMPT)
            case Dispatch(config=config, deadline_at=deadline_at):
                await self._change(tx, run, owner, config=config, deadline_at=deadline_at, log_cursor=None)
            case Begin(started_at=started_at, deadline_at=deadline_at):
                await self._change(
                    tx,
                    run,
                    owner,
                    status=RunStatus.RUNNING,
                    begun=True,
                    started_at=started_at,
                    finished_at=None,
                    exit_code=None,
                    oom_killed=False,
                    deadline_at=deadline_at,
                )
            case _:
                raise AssertionError(f"{step} is not taken in one transaction")

    async def _acquire(self, facts: Facts, owner: str) -> float | None:
        run = facts.run
        outcome = await self._works.run(_make_order(facts), owner=owner)
        match outcome:
            case WorkDone(image=image, origin=origin, digest=digest):
                async with self._database.write() as tx:
                    await self._change(tx, run, owner, image=RunImage(image=image, origin=origin, digest=digest))
                    await self._tell(tx, run, phases.STARTING, digest)
                return None
            case WorkFailed(message=message):
                await self._end(facts, fail_attempt(facts, message), owner)
                return _UNREACHED_SECONDS
            case Unreached(reason=reason):
                if reason != run.reason:
                    async with self._database.write() as tx:
                        await self._change(tx, run, owner, reason=reason)
                        await self._tell(tx, run, phases.RESTART, f"trying again: {reason}")
                return _UNREACHED_SECONDS
            case Interrupted.TAKEN:
                raise _LeaseLost
            case Interrupted.CANCELLED | Interrupted.LATE:
                return None

    async def _end(self, facts: Facts, step: Succeed | Retry | Fail | Skip, owner: str) -> None:
        """Write down how the attempt, and with it perhaps the run, has ended, its output kept first."""
        run = facts.run
        if run.config is not None:
            await self._follower.finish(facts, owner=owner)
        elif run.node_id is not None and run.image is None:
            await self._works.cancel(_make_order(facts))
        report = None if isinstance(step, Skip) else step.report
        changes = _describe_end(step, report, now=self._clock.now(), run=run)
        async with self._database.write() as tx:
            await self._change(tx, run, owner, **changes)
            await self._tell(tx, run, job_log.END, _word_end(run, step))
        if not isinstance(step, Succeed):
            _log.info("attempt of a job's run failed", extra={"run": run.id, "reason": step.reason})

    async def _change(self, tx: Transaction, run: JobRun, owner: str, **changes: object) -> None:
        if not await self._runs.change(tx, run, owner=owner, **changes):
            raise _LeaseLost

    async def _tell(self, tx: Transaction, run: JobRun, phase: str, text: str) -> None:
        await self._logs.append(tx, run.id, at=self._clock.now(), phase=phase, texts=[phases.clean_text(text)])


def _describe_end(
    step: Succeed | Retry | Fail | Skip, report: JobRunReport | None, *, now: dt.datetime, run: JobRun
) -> dict[str, Any]:
    changes: dict[str, Any] = {
        **_NO_ATTEMPT,
        "exit_code": None if report is None else report.exit_code,
        "oom_killed": report is not None and report.oom_killed,
    }
    if report is not None and report.started_at is not None:
        changes["started_at"] = report.started_at
    if isinstance(step, Retry):
        return changes | {
            "attempt": run.attempt + 1,
            "retry_at": step.retry_at,
            "reason": _cut(step.reason),
            **({} if keeps_image(run) else {"image": None}),
        }
    # The node of the last attempt stays to be seen.
    del changes["node_id"]
    finished_at = now if report is None or report.finished_at is None else report.finished_at
    changes |= {"finished_at": finished_at, "reason": None if isinstance(step, Succeed) else _cut(step.reason)}
    match step:
        case Succeed():
            changes["status"] = RunStatus.SUCCEEDED
        case Fail():
            changes["status"] = RunStatus.FAILED
        case Skip():
            changes["status"] = RunStatus.SKIPPED
    return changes


def _word_end(run: JobRun, step: Succeed | Retry | Fail | Skip) -> str:
    match step:
        case Succeed():
            return f"attempt {run.attempt} succeeded"
        case Retry(reason=reason):
            return f"attempt {run.attempt} failed: {reason}; another follows"
        case Fail(reason=reason):
            return f"attempt {run.attempt} failed: {reason}"
        case Skip(reason=reason):
            return f"skipped: {reason}"


def _cut(reason: str) -> str:
    return reason[:_KEPT_REASON_CHARACTERS]


def _make_order(facts: Facts) -> WorkOrder:
    """What the attempt's node pulls or builds; it alone runs what it builds, so that stays there."""
    run, job = facts.run, facts.launch.job
    source = job.source
    image, registry_id, git = None, None, None
    request: DeploymentRequest = ImageRequest(service_id=job.id, image="")
    if isinstance(source, ExternalImageSource):
        image, registry_id = source.image_ref or source.image, source.registry_id
    elif isinstance(source, GitSource):
        git = source
        request = GitRequest(service_id=job.id, repo_url=source.repo_url, git_ref=source.git_ref)
    return WorkOrder(
        id=str(uuid.uuid5(_WORKS, f"{run.id}.{run.attempt}")),
        row_id=run.id,
        subject_id=job.id,
        node_id=run.node_id,
        deadline_at=run.deadline_at,
        request=request,
        project_id=job.project_id,
        git=git,
        image=image,
        repository=f"jobs/{job.id}",
        tag="latest",
        registry_id=registry_id,
        stays_on_node=True,
    )


def _name(facts: Facts, node_id: str) -> str:
    node = find_node(facts.nodes, node_id)
    return "that was removed" if node is None else node.name

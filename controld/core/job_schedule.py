"""Turns the moments of schedules into runs, and into words where a run that was due did not happen."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from controld.core.jobs import runs_of
from controld.core.ports import Database, Transaction
from controld.core.ports_jobs import JobRunStore, JobStore, Zones
from controld.model.job import Job, JobRun, RunStatus, Trigger
from controld.rules.cron import find_next, parse_schedule
from controld.rules.job_schedule import DuePlan, explain_missed, plan_due
from kit.clock import Clock
from kit.ids import Ids

_log = logging.getLogger(__name__)

_PAGE: Final = 200
_OVERLAP: Final = "the run before it was still active"


class JobSchedule:
    """Any number of processes may try at one time: of each moment of a job there is one run at the most."""

    def __init__(
        self,
        *,
        database: Database,
        jobs: JobStore,
        runs: JobRunStore,
        zones: Zones,
        clock: Clock,
        ids: Ids,
        late_seconds: float,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._runs = runs
        self._zones = zones
        self._clock = clock
        self._ids = ids
        self._late = dt.timedelta(seconds=late_seconds)

    async def enqueue_due(self) -> None:
        """Make the runs that are due, and write down those that did not happen."""
        while True:
            async with self._database.read() as tx:
                due = await self._jobs.list_due(tx, self._clock.now(), limit=_PAGE)
            for job in due:
                await self._enqueue(job)
            if len(due) < _PAGE:
                return

    async def heal(self) -> None:
        """Bring jobs forward whose next run is later than their schedule says: the clock was set back since."""
        after = ""
        while True:
            async with self._database.read() as tx:
                page = await self._jobs.list_scheduled(tx, after=after, limit=_PAGE)
            for job in page:
                next_run_at = await self._find_next(job, self._clock.now())
                if next_run_at is not None and job.next_run_at is not None and next_run_at < job.next_run_at:
                    async with self._database.write() as tx:
                        await self._jobs.move(tx, job, next_run_at=next_run_at)
                    _log.warning("job is due earlier: the clock was set back", extra={"job": job.id})
            if len(page) < _PAGE:
                return
            after = page[-1].id

    async def _find_next(self, job: Job, now: dt.datetime) -> dt.datetime | None:
        zone = await self._zones.find(job.timezone)
        if job.schedule is None or zone is None:
            return None
        return find_next(parse_schedule(job.schedule), now, zone=zone)

    async def _enqueue(self, job: Job) -> None:
        now, zone = self._clock.now(), await self._zones.find(job.timezone)
        if job.schedule is None or job.next_run_at is None or job.next_run_at > now:
            return
        if zone is None:
            _log.error("job is not run: its time zone is unknown here", extra={"job": job.id, "zone": job.timezone})
            plan = DuePlan(run_for=None, missed=None, next_run_at=None)
        else:
            plan = plan_due(parse_schedule(job.schedule), job.next_run_at, zone=zone, now=now, late=self._late)
        async with self._database.write() as tx:
            await tx.lock(runs_of(job.id))
            enqueued_at = None if plan.run_for is None else now
            if not await self._jobs.move(tx, job, next_run_at=plan.next_run_at, enqueued_at=enqueued_at):
                return
            if plan.missed is not None:
                await self._skip(tx, job, plan.missed.first_at, reason=explain_missed(plan.missed), at=now)
            if plan.run_for is not None:
                await self._begin(tx, job, plan.run_for, at=now)

    async def _begin(self, tx: Transaction, job: Job, due_at: dt.datetime, *, at: dt.datetime) -> None:
        if await self._runs.find_active(tx, job.id) is not None:
            await self._skip(tx, job, due_at, reason=_OVERLAP, at=at)
            return
        if not await self._runs.is_known(tx, job.id, due_at=due_at):
            await self._runs.insert(tx, self._make(job, due_at, at=at, status=RunStatus.PENDING))

    async def _skip(self, tx: Transaction, job: Job, due_at: dt.datetime, *, reason: str, at: dt.datetime) -> None:
        if not await self._runs.is_known(tx, job.id, due_at=due_at):
            run = self._make(job, due_at, at=at, status=RunStatus.SKIPPED, reason=reason)
            await self._runs.insert(tx, run)
            _log.warning("due run of a job did not happen", extra={"job": job.id, "run": run.id, "reason": reason})

    def _make(
        self, job: Job, due_at: dt.datetime, *, at: dt.datetime, status: RunStatus, reason: str | None = None
    ) -> JobRun:
        return JobRun(
            id=self._ids.new_id(),
            job_id=job.id,
            status=status,
            trigger=Trigger.SCHEDULE,
            due_at=due_at,
            reason=reason,
            created_at=at,
            finished_at=at if status.is_finished else None,
        )

"""Runs of jobs for people and programs: look at them, read and follow their logs, end them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from controld.core.audit import Audit
from controld.core.faults import JobNotFound, RunFinished
from controld.core.jobs import find_job
from controld.core.kept_logs import KeptLogs, KeptQuery, Standing
from controld.core.ports import Database, Feed, Transaction
from controld.core.ports_jobs import JobRunLogStore, JobRunStore, JobStore
from controld.model.caller import Caller
from controld.model.deployment import LogLine
from controld.model.job import Job, JobRun, RunStatus
from controld.model.page import Page, Paged
from kit.clock import Clock

LogNews = list[LogLine] | RunStatus
"""Lines of a log in their order, or the status that ended it."""


class JobRuns:
    """What callers may ask of runs; permission is asked here."""

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        jobs: JobStore,
        runs: JobRunStore,
        logs: JobRunLogStore,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._runs = runs
        self._logs = logs
        self._audit = audit
        self._clock = clock
        self._kept: KeptLogs[RunStatus] = KeptLogs(
            database=database, feed=feed, logs=logs, kinds=("job", "job_run", "job_run_log"), what="jobs"
        )

    async def list(self, caller: Caller, job_id: str, page: Page) -> Paged[JobRun]:
        """A page of the job's runs, newest first; raises JobNotFound."""
        async with self._database.read() as tx:
            await find_job(tx, self._jobs, caller, job_id=job_id, operation="job.read")
            found = await self._runs.list_of_job(tx, job_id, page=page)
        return Paged.cut(found, page, id_of=lambda run: run.id)

    async def get(self, caller: Caller, job_id: str, run_id: str) -> JobRun:
        """One run; raises JobNotFound."""
        async with self._database.read() as tx:
            _, run = await self._find(tx, caller, job_id, run_id=run_id, operation="job.read")
        return run

    async def cancel(self, caller: Caller, job_id: str, run_id: str) -> JobRun:
        """Ask for the end of an active run, which fails soon after; raises JobNotFound and RunFinished."""
        async with self._database.write() as tx:
            job, run = await self._find(tx, caller, job_id, run_id=run_id, operation="job.cancel")
            who = caller.username or "the holder of the setup secret"
            if not await self._runs.request_cancel(tx, run, at=self._clock.now(), reason=f"cancelled by {who}"):
                raise RunFinished(f"cannot cancel the run: it has {run.status.value}")
            await self._audit.record(
                tx,
                caller,
                action="job.cancel",
                object_kind="job",
                object_id=job.id,
                project_id=job.project_id,
                details={"name": job.name, "run_id": run.id},
            )
            found = await self._runs.find(tx, run_id)
        assert found is not None
        return found

    async def read_log(self, caller: Caller, job_id: str, run_id: str, query: KeptQuery) -> Sequence[LogLine]:
        """The lines of the run's log that are asked for, oldest first, at most 10,000; raises JobNotFound."""
        async with self._database.read() as tx:
            await self._find(tx, caller, job_id, run_id=run_id, operation="job.logs")
            return await self._kept.find(tx, run_id, query)

    async def follow(self, caller: Caller, job_id: str, run_id: str, query: KeptQuery) -> AsyncGenerator[LogNews]:
        """The lines that are asked for in batches, with waits for those to come, then the final status once.

        Raises JobNotFound, and TooManyStreams past 64 at one time; both before anything is yielded.
        """
        async with self._database.read() as tx:
            await self._find(tx, caller, job_id, run_id=run_id, operation="job.logs")
            after = await self._kept.begin(tx, run_id, query)

        async def look(tx: Transaction) -> Standing[RunStatus] | None:
            run = await self._runs.find(tx, run_id)
            return None if run is None else Standing((run_id, job_id), run.status if run.status.is_finished else None)

        return self._kept.follow(run_id, after=after, look=look, query=query)

    async def admit_reader(self, caller: Caller, job_id: str, run_id: str) -> None:
        """Return when the caller may read the log; raises JobNotFound and Forbidden."""
        async with self._database.read() as tx:
            await self._find(tx, caller, job_id, run_id=run_id, operation="job.logs")

    async def _find(
        self, tx: Transaction, caller: Caller, job_id: str, *, run_id: str, operation: str
    ) -> tuple[Job, JobRun]:
        job = await find_job(tx, self._jobs, caller, job_id=job_id, operation=operation)
        run = await self._runs.find(tx, run_id)
        if run is None or run.job_id != job_id:
            raise JobNotFound("job has no such run")
        return job, run

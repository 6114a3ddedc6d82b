"""Jobs: what is run to its end, on a schedule or when asked for."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

from controld.core.audit import Audit
from controld.core.faults import InUse, JobActive, JobNotFound, ProjectNotFound
from controld.core.image_sources import check_source_registry
from controld.core.ports import Database, Transaction
from controld.core.ports_jobs import JobRunStore, JobStore, Zones
from controld.core.ports_registries import ExternalRegistryStore
from controld.core.ports_services import ProjectStore
from controld.model.caller import Caller
from controld.model.job import Job, JobDraft, JobRun, RunStatus, Trigger
from controld.rules.access import allows, check
from controld.rules.redaction import redact_env
from controld.rules.validation_job import check_job, find_first_run
from kit.clock import Clock
from kit.faults import Invalid
from kit.ids import Ids


class Jobs:
    """Keeps jobs and takes asks for runs; permission is asked here, and env values are hidden below operator."""

    def __init__(
        self,
        *,
        database: Database,
        jobs: JobStore,
        runs: JobRunStore,
        projects: ProjectStore,
        zones: Zones,
        audit: Audit,
        clock: Clock,
        ids: Ids,
        registries: ExternalRegistryStore,
        allow_private_registries: bool,
        allow_private_git_hosts: bool,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._runs = runs
        self._projects = projects
        self._zones = zones
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._registries = registries
        self._allow_private_registries = allow_private_registries
        self._allow_private_git_hosts = allow_private_git_hosts

    async def list(self, caller: Caller, project_id: str) -> Sequence[Job]:
        """The project's jobs by name; raises ProjectNotFound."""
        check(caller, "job.read", project_id=project_id, missing=_no_project())
        async with self._database.read() as tx:
            if await self._projects.get(tx, project_id) is None:
                raise _no_project()
            found = await self._jobs.list(tx, project_id)
        return [_shown(job, caller) for job in found]

    async def get(self, caller: Caller, job_id: str) -> Job:
        """One job; raises JobNotFound."""
        async with self._database.read() as tx:
            return _shown(await self._find(tx, caller, job_id, operation="job.read"), caller)

    async def create(self, caller: Caller, project_id: str, draft: JobDraft) -> Job:
        """Make a job; raises ProjectNotFound, RegistryNotFound, and Invalid for what cannot be run."""
        check(caller, "job.write", project_id=project_id, missing=_no_project())
        zone = await self._check(draft)
        async with self._database.write() as tx:
            await tx.lock("projects")
            if await self._projects.get(tx, project_id) is None:
                raise _no_project()
            await check_source_registry(tx, self._registries, draft.source, project_id=project_id)
            now = self._clock.now()
            job = Job(
                id=self._ids.new_id(),
                project_id=project_id,
                next_run_at=find_first_run(draft, zone, now=now),
                last_enqueued_at=None,
                created_at=now,
                updated_at=now,
                **_fields(draft),
            )
            await self._jobs.add(tx, job)
            await self._record(tx, caller, "job.create", job=job)
        return job

    async def update(self, caller: Caller, job_id: str, draft: JobDraft) -> Job:
        """Replace a job but for its project; when it is due next is computed anew where the schedule has changed.

        Raises JobNotFound, RegistryNotFound and Invalid. A run under way keeps what it was started with.
        """
        async with self._database.read() as tx:
            await self._find(tx, caller, job_id, operation="job.write")
        zone = await self._check(draft)
        async with self._database.write() as tx:
            await tx.lock(runs_of(job_id))
            stored = await self._find(tx, caller, job_id, operation="job.write")
            await check_source_registry(tx, self._registries, draft.source, project_id=stored.project_id)
            now = self._clock.now()
            same = (draft.schedule, draft.timezone) == (stored.schedule, stored.timezone)
            next_run_at = stored.next_run_at if same else find_first_run(draft, zone, now=now)
            job = dataclasses.replace(stored, next_run_at=next_run_at, updated_at=now, **_fields(draft))
            await self._jobs.update(tx, job)
            await self._record(tx, caller, "job.update", job=job)
        return job

    async def delete(self, caller: Caller, job_id: str) -> None:
        """Remove the job with its runs and their logs; raises JobNotFound, and InUse while a run is active."""
        async with self._database.write() as tx:
            await tx.lock(runs_of(job_id))
            job = await self._find(tx, caller, job_id, operation="job.delete")
            if await self._runs.find_active(tx, job_id) is not None:
                raise InUse("cannot delete job: a run of it is active; cancel that, or wait for its end")
            await self._jobs.delete(tx, job_id)
            await self._record(tx, caller, "job.delete", job=job)

    async def run(self, caller: Caller, job_id: str) -> JobRun:
        """Write down that a run is wanted now; raises JobNotFound, and JobActive while one is active."""
        async with self._database.write() as tx:
            await tx.lock(runs_of(job_id))
            job = await self._find(tx, caller, job_id, operation="job.run")
            if await self._runs.find_active(tx, job_id) is not None:
                raise JobActive("job already has an active run")
            now = self._clock.now()
            run = JobRun(
                id=self._ids.new_id(),
                job_id=job_id,
                status=RunStatus.PENDING,
                trigger=Trigger.MANUAL,
                created_at=now,
                created_by=caller.user_id,
            )
            await self._runs.insert(tx, run)
            await self._jobs.touch(tx, job_id, enqueued_at=now)
            await self._record(tx, caller, "job.run", job=job, run_id=run.id)
        return run

    async def _check(self, draft: JobDraft) -> dt.tzinfo:
        check_job(
            draft,
            allow_private_registries=self._allow_private_registries,
            allow_private_git_hosts=self._allow_private_git_hosts,
        )
        zone = await self._zones.find(draft.timezone)
        if zone is None:
            raise Invalid(f"cannot save job: there is no time zone {draft.timezone!r}; give an IANA name")
        return zone

    async def _find(self, tx: Transaction, caller: Caller, job_id: str, *, operation: str) -> Job:
        return await find_job(tx, self._jobs, caller, job_id=job_id, operation=operation)

    async def _record(self, tx: Transaction, caller: Caller, action: str, *, job: Job, **details: object) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="job",
            object_id=job.id,
            project_id=job.project_id,
            details={"name": job.name, **details},
        )


def runs_of(job_id: str) -> str:
    """The lock under which runs of a job begin, so that two never do at once."""
    return f"runs of job {job_id}"


async def find_job(tx: Transaction, jobs: JobStore, caller: Caller, *, job_id: str, operation: str) -> Job:
    """The job, for a caller who may do the operation in its project; raises JobNotFound."""
    missing = JobNotFound("job not found")
    job = await jobs.get(tx, job_id)
    if job is None:
        raise missing
    check(caller, operation, project_id=job.project_id, missing=missing)
    return job


def _fields(draft: JobDraft) -> dict[str, Any]:
    return {field.name: getattr(draft, field.name) for field in dataclasses.fields(draft)}


def _no_project() -> ProjectNotFound:
    return ProjectNotFound("cannot find project: no such project")


def _shown(job: Job, caller: Caller) -> Job:
    if allows(caller, "env.read", project_id=job.project_id):
        return job
    return dataclasses.replace(job, env=redact_env(job.env))

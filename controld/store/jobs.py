"""Jobs as rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, select, update

from controld.core.ports import Transaction
from controld.model.job import Job, JobLaunch
from controld.model.service import ResourceLimits
from controld.rules.replica_config import effective_limits, merge_env
from controld.store.sources import read_source, render_source
from controld.store.tables import jobs, projects


class JobStore:
    """Reads and writes jobs; each change announces ("job", id)."""

    async def add(self, tx: Transaction, job: Job) -> None:
        """Keep a new job."""
        await tx.execute(insert(jobs).values(id=job.id, project_id=job.project_id, **_values(job)))
        tx.announce("job", job.id)

    async def update(self, tx: Transaction, job: Job) -> None:
        """Replace all of a job but its id and project."""
        await tx.execute(update(jobs).where(jobs.c.id == job.id).values(**_values(job)))
        tx.announce("job", job.id)

    async def get(self, tx: Transaction, job_id: str) -> Job | None:
        """The job, or None."""
        row = (await tx.execute(select(jobs).where(jobs.c.id == job_id))).one_or_none()
        return None if row is None else _job(row)

    async def list(self, tx: Transaction, project_id: str) -> Sequence[Job]:
        """The project's jobs by name."""
        rows = await tx.execute(select(jobs).where(jobs.c.project_id == project_id).order_by(jobs.c.name, jobs.c.id))
        return [_job(row) for row in rows]

    async def delete(self, tx: Transaction, job_id: str) -> None:
        """Remove the job with its runs and their logs."""
        await tx.execute(delete(jobs).where(jobs.c.id == job_id))
        tx.announce("job", job_id)

    async def list_due(self, tx: Transaction, now: dt.datetime, *, limit: int) -> Sequence[Job]:
        """Jobs whose next run is due, the longest due first."""
        rows = await tx.execute(select(jobs).where(jobs.c.next_run_at <= now).order_by(jobs.c.next_run_at).limit(limit))
        return [_job(row) for row in rows]

    async def list_scheduled(self, tx: Transaction, *, after: str, limit: int) -> Sequence[Job]:
        """Jobs with a next run, by id from the one behind `after` on."""
        rows = await tx.execute(
            select(jobs).where(jobs.c.next_run_at.is_not(None), jobs.c.id > after).order_by(jobs.c.id).limit(limit)
        )
        return [_job(row) for row in rows]

    async def move(
        self, tx: Transaction, job: Job, *, next_run_at: dt.datetime | None, enqueued_at: dt.datetime | None = None
    ) -> bool:
        """Set when the job is due next, if that is still as the job says; whether it was: of two at once one wins."""
        before = jobs.c.next_run_at.is_(None) if job.next_run_at is None else jobs.c.next_run_at == job.next_run_at
        moved = await tx.execute(
            update(jobs)
            .where(jobs.c.id == job.id, before)
            .values(next_run_at=next_run_at, last_enqueued_at=enqueued_at or job.last_enqueued_at)
        )
        return bool(moved.rowcount == 1)

    async def touch(self, tx: Transaction, job_id: str, *, enqueued_at: dt.datetime) -> None:
        """Note that a run was asked for."""
        await tx.execute(update(jobs).where(jobs.c.id == job_id).values(last_enqueued_at=enqueued_at))

    async def find_launch(self, tx: Transaction, job_id: str) -> JobLaunch | None:
        """The job as its next attempt would be launched, or None."""
        row = (
            await tx.execute(
                select(
                    jobs,
                    projects.c.name.label("project_name"),
                    projects.c.shared_env,
                    projects.c.default_cpu_millis,
                    projects.c.default_memory_bytes,
                )
                .join(projects, projects.c.id == jobs.c.project_id)
                .where(jobs.c.id == job_id)
            )
        ).one_or_none()
        if row is None:
            return None
        return JobLaunch(
            job=_job(row),
            project=row.project_name,
            limits=effective_limits(
                (row.cpu_millis, row.memory_bytes), (row.default_cpu_millis, row.default_memory_bytes)
            ),
            env=merge_env(row.shared_env, row.env),
        )


def _values(job: Job) -> dict[str, Any]:
    limits = job.resource_limits
    return {
        "name": job.name,
        "source": render_source(job.source),
        "command": job.command,
        "env": job.env,
        "schedule": job.schedule,
        "timezone": job.timezone,
        "max_retries": job.max_retries,
        "timeout_seconds": job.timeout_seconds,
        "cpu_millis": None if limits is None else limits.cpu_millis,
        "memory_bytes": None if limits is None else limits.memory_bytes,
        "keep_runs": job.keep_runs,
        "keep_days": job.keep_days,
        "next_run_at": job.next_run_at,
        "last_enqueued_at": job.last_enqueued_at,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


def _job(row: Row[Any]) -> Job:
    limits = None
    if row.cpu_millis is not None and row.memory_bytes is not None:
        limits = ResourceLimits(cpu_millis=row.cpu_millis, memory_bytes=row.memory_bytes)
    return Job(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        source=read_source(row.source),
        command=None if row.command is None else tuple(row.command),
        env=msgspec.convert(row.env, tuple[tuple[str, str], ...]),
        schedule=row.schedule,
        timezone=row.timezone,
        max_retries=row.max_retries,
        timeout_seconds=row.timeout_seconds,
        resource_limits=limits,
        keep_runs=row.keep_runs,
        keep_days=row.keep_days,
        next_run_at=row.next_run_at,
        last_enqueued_at=row.last_enqueued_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

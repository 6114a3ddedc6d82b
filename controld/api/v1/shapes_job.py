"""The JSON of jobs and their runs, and what it says of our records."""

from __future__ import annotations

import datetime as dt

from controld.api.v1.shapes import Id
from controld.api.v1.shapes_service import SourceShape, read_source, render_source
from controld.model.job import Job, JobDraft, JobRun, RunStatus, Trigger
from controld.model.service import Env, ResourceLimits
from wire.base import Lenient


class JobQuery(Lenient, frozen=True):
    """Whose jobs are asked for."""

    project_id: Id


class JobChangeAsked(Lenient, frozen=True):
    """A job as it should be; what is absent or null is as if it had never been said."""

    name: str
    source: SourceShape
    command: tuple[str, ...] | None = None
    """In place of the image's entrypoint and command; an empty one is none."""
    env: Env | None = None
    schedule: str | None = None
    """Cron of 5, 6 or 7 fields, or one of the @ names; absent: it runs when asked to."""
    timezone: str | None = None
    """IANA name of the zone of the schedule; absent: UTC."""
    max_retries: int | None = None
    timeout_seconds: int | None = None
    """Of one attempt."""
    resource_limits: ResourceLimits | None = None
    keep_runs: int | None = None
    """So many finished runs are kept."""
    keep_days: int | None = None
    """Finished runs are kept for so long."""


class JobAsked(JobChangeAsked, frozen=True, kw_only=True):
    """A new job."""

    project_id: Id


class JobShape(Lenient, frozen=True):
    """A job; what is null of timeout, limits and keeping is the platform's."""

    id: str
    project_id: str
    name: str
    source: SourceShape
    command: tuple[str, ...] | None
    env: Env
    schedule: str | None
    timezone: str
    max_retries: int
    timeout_seconds: int | None
    resource_limits: ResourceLimits | None
    keep_runs: int | None
    keep_days: int | None
    next_run_at: dt.datetime | None
    last_enqueued_at: dt.datetime | None
    created_at: dt.datetime


class JobRunShape(Lenient, frozen=True):
    """A run; `attempt`, `exit_code` and `started_at` are those of its last attempt."""

    id: str
    job_id: str
    status: RunStatus
    attempt: int
    exit_code: int | None
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    created_at: dt.datetime
    trigger: Trigger
    due_at: dt.datetime | None
    """The moment of the schedule that it is for."""
    reason: str | None
    """Why it failed, was skipped, or waits."""
    oom_killed: bool
    node_id: str | None


def read_job(asked: JobChangeAsked) -> JobDraft:
    """What the caller wants; raises Invalid for a credential on an external image."""
    return JobDraft(
        name=asked.name.strip(),
        source=read_source(asked.source),
        command=asked.command or None,
        env=asked.env or (),
        schedule=None if asked.schedule is None else asked.schedule.strip(),
        timezone=asked.timezone or "UTC",
        max_retries=asked.max_retries or 0,
        timeout_seconds=asked.timeout_seconds,
        resource_limits=asked.resource_limits,
        keep_runs=asked.keep_runs,
        keep_days=asked.keep_days,
    )


def render_job(job: Job) -> JobShape:
    """A job."""
    return JobShape(
        id=job.id,
        project_id=job.project_id,
        name=job.name,
        source=render_source(job.source),
        command=job.command,
        env=job.env,
        schedule=job.schedule,
        timezone=job.timezone,
        max_retries=job.max_retries,
        timeout_seconds=job.timeout_seconds,
        resource_limits=job.resource_limits,
        keep_runs=job.keep_runs,
        keep_days=job.keep_days,
        next_run_at=job.next_run_at,
        last_enqueued_at=job.last_enqueued_at,
        created_at=job.created_at,
    )


def render_run(run: JobRun) -> JobRunShape:
    """A run."""
    return JobRunShape(
        id=run.id,
        job_id=run.job_id,
        status=run.status,
        attempt=run.attempt,
        exit_code=run.exit_code,
        started_at=run.started_at,
        finished_at=run.finished_at,
        created_at=run.created_at,
        trigger=run.trigger,
        due_at=run.due_at,
        reason=run.reason,
        oom_killed=run.oom_killed,
        node_id=run.node_id,
    )

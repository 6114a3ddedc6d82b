"""A job: what is run to its end, when, and how its runs went."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Final

from controld.model.service import Env, ResourceLimits, ServiceSource
from wire.spec import JobRun as NodeRun
from wire.spec import Limits, Origin


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobDraft:
    """A job as a caller wants it."""

    name: str
    source: ServiceSource
    command: tuple[str, ...] | None = None
    """In place of the image's entrypoint and command."""
    env: Env = ()
    schedule: str | None = None
    """Cron; absent: it runs when asked to."""
    timezone: str = "UTC"
    """The IANA name of the zone in which the schedule is read."""
    max_retries: int = 0
    timeout_seconds: int | None = None
    """Of one attempt; absent: the platform's."""
    resource_limits: ResourceLimits | None = None
    """Absent: the project's default, then the built-in one."""
    keep_runs: int | None = None
    """So many finished runs are kept; absent: the platform's number."""
    keep_days: int | None = None
    """Finished runs are kept for so long; absent: the platform's time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A stored job."""

    id: str
    project_id: str
    name: str
    source: ServiceSource
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
    """When it is due next."""
    last_enqueued_at: dt.datetime | None
    """When a run of it was last asked for or came due."""
    created_at: dt.datetime
    updated_at: dt.datetime


class RunStatus(enum.Enum):
    """How far a run has come; the words are those of the contract."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was due and did not happen; the run's reason says why."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens to it."""
        return self not in ACTIVE


ACTIVE: Final = frozenset({RunStatus.PENDING, RunStatus.RUNNING})


class Trigger(enum.Enum):
    """What asked for a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunImage:
    """The image of an attempt, by digest."""

    image: str
    """As `wire.spec.JobRun.image` has it for the origin."""
    origin: Origin
    digest: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """One run of a job, with all of its attempts; what is said of an attempt is said of the last."""

    id: str
    job_id: str
    status: RunStatus
    trigger: Trigger
    created_at: dt.datetime
    due_at: dt.datetime | None = None
    """The moment of the schedule that it is for; absent for a manual run."""
    attempt: int = 1
    exit_code: int | None = None
    oom_killed: bool = False
    reason: str | None = None
    """Why it failed, was skipped, or waits."""
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    created_by: str | None = None
    node_id: str | None = None
    """The node of the attempt; absent: none is chosen yet."""
    image: RunImage | None = None
    config: NodeRun | None = None
    """What the node is told; present from when the attempt was handed to it."""
    begun: bool = False
    """The node has said that the attempt runs."""
    retry_at: dt.datetime | None = None
    """The next attempt waits until then."""
    deadline_at: dt.datetime | None = None
    """When waiting for a node, for the image or for the start ends."""
    cancel_requested_at: dt.datetime | None = None
    log_cursor: str | None = None
    """Behind the last line of the attempt's output that is kept."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobLaunch:
    """A job as its next attempt would be launched: limits are effective, env is merged."""

    job: Job
    project: str
    limits: Limits
    env: tuple[tuple[str, str], ...]

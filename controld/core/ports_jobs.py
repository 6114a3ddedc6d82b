"""What jobs need from outside beside the ports of every noun."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from controld.core.ports import Transaction
from controld.core.ports_deployments import LeasedRows
from controld.model.deployment import LogLine
from controld.model.job import Job, JobLaunch, JobRun
from controld.model.page import Page


class JobStore(Protocol):
    """Jobs in the database; each change announces ("job", id)."""

    async def add(self, tx: Transaction, job: Job) -> None:
        """Keep a new job."""
        ...

    async def update(self, tx: Transaction, job: Job) -> None:
        """Replace all of a job but its id and project."""
        ...

    async def get(self, tx: Transaction, job_id: str) -> Job | None:
        """The job, or None."""
        ...

    async def list(self, tx: Transaction, project_id: str) -> Sequence[Job]:
        """The project's jobs by name."""
        ...

    async def delete(self, tx: Transaction, job_id: str) -> None:
        """Remove the job with its runs and their logs."""
        ...

    async def list_due(self, tx: Transaction, now: dt.datetime, *, limit: int) -> Sequence[Job]:
        """Jobs whose next run is due, the longest due first."""
        ...

    async def list_scheduled(self, tx: Transaction, *, after: str, limit: int) -> Sequence[Job]:
        """Jobs with a next run, by id from the one behind `after` on."""
        ...

    async def move(
        self, tx: Transaction, job: Job, *, next_run_at: dt.datetime | None, enqueued_at: dt.datetime | None = None
    ) -> bool:
        """Set when the job is due next, if that is still as the job says; whether it was: of two at once one wins."""
        ...

    async def touch(self, tx: Transaction, job_id: str, *, enqueued_at: dt.datetime) -> None:
        """Note that a run was asked for."""
        ...

    async def find_launch(self, tx: Transaction, job_id: str) -> JobLaunch | None:
        """The job as its next attempt would be launched, or None."""
        ...


class JobRunStore(LeasedRows[JobRun], Protocol):
    """Runs, and the lease under which their steps are taken; each change announces ("job_run", id)."""

    async def insert(self, tx: Transaction, run: JobRun) -> None:
        """Keep a new run."""
        ...

    async def find_active(self, tx: Transaction, job_id: str) -> JobRun | None:
        """The job's run that has not finished, or None."""
        ...

    async def is_known(self, tx: Transaction, job_id: str, *, due_at: dt.datetime) -> bool:
        """Whether there is a run for this moment of the schedule."""
        ...

    async def list_of_job(self, tx: Transaction, job_id: str, *, page: Page) -> Sequence[JobRun]:
        """A page of the job's runs and one more, newest first."""
        ...

    async def list_active(self, tx: Transaction) -> Sequence[JobRun]:
        """Every run that has not finished, the oldest first."""
        ...

    async def change(self, tx: Transaction, run: JobRun, *, owner: str, **changes: Any) -> bool:
        """Write fields while the lease is still the owner's and the run is active; whether it was."""
        ...

    async def note_cursor(self, tx: Transaction, run_id: str, *, owner: str, cursor: str | None) -> bool:
        """Note up to where the output is kept, while the lease is the owner's; whether it was."""
        ...

    async def request_cancel(self, tx: Transaction, run: JobRun, *, at: dt.datetime, reason: str) -> bool:
        """Ask for its end; whether it was active. The first to ask gives the reason."""
        ...

    async def list_spent(
        self, tx: Transaction, *, now: dt.datetime, keep_runs: int, keep: dt.timedelta, limit: int
    ) -> Sequence[str]:
        """Finished runs past the number or the time for which their jobs keep them; the newest of each job stays."""
        ...

    async def delete(self, tx: Transaction, ids: Sequence[str]) -> None:
        """Forget finished runs with their logs."""
        ...


class JobRunLogStore(Protocol):
    """Lines of runs' logs; each change announces ("job_run_log", the run's id)."""

    async def append(
        self, tx: Transaction, owner_id: str, /, *, at: dt.datetime, phase: str, texts: Sequence[str]
    ) -> None:
        """Add lines of one phase and moment."""
        ...

    async def append_lines(
        self, tx: Transaction, run_id: str, *, lines: Sequence[tuple[dt.datetime, str, str]]
    ) -> None:
        """Add lines, each with its moment, phase and text."""
        ...

    async def read(self, tx: Transaction, owner_id: str, /, *, after: int, limit: int) -> list[LogLine]:
        """Up to `limit` lines with a greater `seq`, oldest first."""
        ...

    async def last_seq(self, tx: Transaction, owner_id: str, /) -> int:
        """The number of the newest line, 0 when there is none."""
        ...

    async def count_output(
        self, tx: Transaction, owner_id: str, /, *, phase: str, after_phase: str
    ) -> tuple[int, int, int]:
        """Lines of `phase` since the last line of `after_phase`, then lines and characters of `phase` in all."""
        ...

    async def measure(self, tx: Transaction, run_id: str, *, phases: Collection[str]) -> tuple[int, int]:
        """How many lines and characters of these phases a run's log holds."""
        ...


class Zones(Protocol):
    """Time zones."""

    async def find(self, name: str) -> dt.tzinfo | None:
        """The zone with that IANA name, or None."""
        ...

"""Runs of jobs as rows, and the lease under which their steps are taken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, and_, case, delete, exists, func, insert, literal, or_, select, update

from controld.core.ports import Transaction
from controld.model.job import ACTIVE, JobRun, RunImage, RunStatus, Trigger
from controld.model.page import Page
from controld.store.leases import LeasedRows
from controld.store.tables import Moment, job_runs, jobs
from wire.spec import JobRun as NodeRun

_ACTIVE = sorted(status.value for status in ACTIVE)


class JobRunStore(LeasedRows[JobRun]):
    """Reads and writes runs; each change announces ("job_run", id), and ("node", id) where the node's spec changes."""

    def __init__(self) -> None:
        super().__init__(job_runs, unfinished=job_runs.c.status.in_(_ACTIVE))

    async def insert(self, tx: Transaction, run: JobRun) -> None:
        """Keep a new run."""
        await tx.execute(insert(job_runs).values(**_to_values(run)))
        tx.announce("job_run", run.id)

    async def find(self, tx: Transaction, run_id: str, /) -> JobRun | None:
        """The run, or None."""
        row = (await tx.execute(select(job_runs).where(job_runs.c.id == run_id))).first()
        return None if row is None else _to_record(row)

    async def find_active(self, tx: Transaction, job_id: str) -> JobRun | None:
        """The job's run that has not finished, or None."""
        row = (
            await tx.execute(select(job_runs).where(job_runs.c.job_id == job_id, job_runs.c.status.in_(_ACTIVE)))
        ).first()
        return None if row is None else _to_record(row)

    async def is_known(self, tx: Transaction, job_id: str, *, due_at: dt.datetime) -> bool:
        """Whether there is a run for this moment of the schedule."""
        found = await tx.execute(select(exists().where(job_runs.c.job_id == job_id, job_runs.c.due_at == due_at)))
        return bool(found.scalar_one())

    async def list_of_job(self, tx: Transaction, job_id: str, *, page: Page) -> Sequence[JobRun]:
        """A page of the job's runs and one more, newest first."""
        where = job_runs.c.job_id == job_id
        if page.before is not None:
            where = and_(where, job_runs.c.id < page.before)
        rows = await tx.execute(select(job_runs).where(where).order_by(job_runs.c.id.desc()).limit(page.limit + 1))
        return [_to_record(row) for row in rows]

    async def list_active(self, tx: Transaction) -> Sequence[JobRun]:
        """Every run that has not finished, the oldest first."""
        rows = await tx.execute(
            select(job_runs).where(job_runs.c.status.in_(_ACTIVE)).order_by(job_runs.c.created_at, job_runs.c.id)
        )
        return [_to_record(row) for row in rows]

    async def change(self, tx: Transaction, run: JobRun, *, owner: str, **changes: Any) -> bool:
        """Write fields while the lease is still the owner's and the run is active; whether it was."""
        changed = await tx.execute(
            update(job_runs)
            .where(self._is_owned(run.id, owner), job_runs.c.status.in_(_ACTIVE))
            .values({name: _to_column(value) for name, value in changes.items()})
        )
        tx.announce("job_run", run.id)
        if run.node_id is not None:
            tx.announce("node", run.node_id)
        return bool(changed.rowcount == 1)

    async def note_cursor(self, tx: Transaction, run_id: str, *, owner: str, cursor: str | None) -> bool:
        """Note up to where the output is kept, while the lease is the owner's; whether it was."""
        noted = await tx.execute(update(job_runs).where(self._is_owned(run_id, owner)).values(log_cursor=cursor))
        return bool(noted.rowcount == 1)

    async def request_cancel(self, tx: Transaction, run: JobRun, *, at: dt.datetime, reason: str) -> bool:
        """Ask for its end; whether it was active. The first to ask gives the reason."""
        asked = await tx.execute(
            update(job_runs)
            .where(job_runs.c.id == run.id, job_runs.c.status.in_(_ACTIVE))
            .values(
                reason=func.coalesce(_reason_of_cancel(), reason),
                cancel_requested_at=func.coalesce(job_runs.c.cancel_requested_at, literal(at, Moment)),
            )
        )
        tx.announce("job_run", run.id)
        if run.node_id is not None:
            tx.announce("node", run.node_id)
        return bool(asked.rowcount == 1)

    async def list_spent(
        self, tx: Transaction, *, now: dt.datetime, keep_runs: int, keep: dt.timedelta, limit: int
    ) -> Sequence[str]:
        """Finished runs past the number or the time for which their jobs keep them; the newest of each job stays."""
        # Runs that did not happen are counted by themselves, or a long run would push out the word on those that did.
        kinds = (job_runs.c.job_id, job_runs.c.status == RunStatus.SKIPPED.value)
        place = func.row_number().over(partition_by=kinds, order_by=job_runs.c.id.desc()).label("place")
        day = 86_400 * 1_000_000
        finished = (
            select(
                job_runs.c.id,
                place,
                job_runs.c.finished_at,
                func.coalesce(jobs.c.keep_runs, keep_runs).label("most"),
                func.coalesce(jobs.c.keep_days * day, keep // dt.timedelta(microseconds=1)).label("kept"),
            )
            .join(jobs, jobs.c.id == job_runs.c.job_id)
            .where(job_runs.c.status.not_in(_ACTIVE))
            .subquery()
        )
        age = literal(now, Moment).op("-")(finished.c.finished_at)
        rows = await tx.execute(
            select(finished.c.id)
            .where(finished.c.place > 1, or_(finished.c.place > finished.c.most, age > finished.c.kept))
            .limit(limit)
        )
        return list(rows.scalars())

    async def delete(self, tx: Transaction, ids: Sequence[str]) -> None:
        """Forget finished runs with their logs."""
        await tx.execute(delete(job_runs).where(job_runs.c.id.in_(ids), job_runs.c.status.not_in(_ACTIVE)))
        tx.announce("job_run", *ids)


def to_node_run(row: Row[Any]) -> NodeRun:
    """What the node is told of a run that was handed to it."""
    return msgspec.convert(
        {**row.config, "begun": row.begun, "cancelled": row.cancel_requested_at is not None}, NodeRun
    )


def is_on_node(node_id: str) -> Any:
    """The runs that a node's spec names."""
    return and_(job_runs.c.node_id == node_id, job_runs.c.config.is_not(None), job_runs.c.status.in_(_ACTIVE))


def _reason_of_cancel() -> Any:
    return case((job_runs.c.cancel_requested_at.is_not(None), job_runs.c.reason))


def _to_column(value: Any) -> Any:
    if isinstance(value, (RunStatus, Trigger)):
        return value.value
    if isinstance(value, (RunImage, NodeRun)):
        return msgspec.to_builtins(value)
    return value


def _to_values(run: JobRun) -> dict[str, Any]:
    return {name: _to_column(getattr(run, name)) for name in _COLUMNS}


_COLUMNS = (
    "id",
    "job_id",
    "status",
    "trigger",
    "created_at",
    "due_at",
    "attempt",
    "exit_code",
    "oom_killed",
    "reason",
    "started_at",
    "finished_at",
    "created_by",
    "node_id",
    "image",
    "config",
    "begun",
    "retry_at",
    "deadline_at",
    "cancel_requested_at",
    "log_cursor",
)


def _to_record(row: Row[Any]) -> JobRun:
    known = {name: getattr(row, name) for name in _COLUMNS}
    known["status"], known["trigger"] = RunStatus(row.status), Trigger(row.trigger)
    known["image"] = None if row.image is None else msgspec.convert(row.image, RunImage)
    known["config"] = None if row.config is None else msgspec.convert(row.config, NodeRun)
    return JobRun(**known)

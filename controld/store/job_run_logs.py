"""The lines of the logs of jobs' runs as rows."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select

from controld.core.ports import Transaction
from controld.store.log_lines import LogLineStore
from controld.store.tables import job_run_logs


class JobRunLogStore(LogLineStore):
    """Logs of jobs' runs; each change announces ("job_run_log", the run's id)."""

    def __init__(self) -> None:
        super().__init__(job_run_logs, owner="run_id", kind="job_run_log")

    async def measure(self, tx: Transaction, run_id: str, *, phases: Collection[str]) -> tuple[int, int]:
        """How many lines and characters of these phases a run's log holds."""
        row = await tx.execute(
            select(func.count(), func.sum(func.length(job_run_logs.c.text))).where(
                job_run_logs.c.run_id == run_id, job_run_logs.c.phase.in_(phases)
            )
        )
        lines, characters = row.one()
        return lines, int(characters or 0)

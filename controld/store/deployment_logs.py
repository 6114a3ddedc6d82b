"""The lines of deployments' logs as rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import func, insert, select

from controld.core.ports import Transaction
from controld.model.deployment import LogLine
from controld.store.tables import deployment_logs


class DeploymentLogStore:
    """Reads and appends lines; `seq` counts from 1 without gaps for each deployment."""

    async def append(
        self, tx: Transaction, deployment_id: str, *, at: dt.datetime, phase: str, texts: Sequence[str]
    ) -> None:
        """Add lines of one phase and moment."""
        if not texts:
            return
        await tx.lock(f"log of {deployment_id}")
        last = await tx.execute(
            select(func.max(deployment_logs.c.seq)).where(deployment_logs.c.deployment_id == deployment_id)
        )
        first = (last.scalar_one() or 0) + 1
        await tx.execute(
            insert(deployment_logs),
            [
                {"deployment_id": deployment_id, "seq": first + place, "at": at, "phase": phase, "text": text}
                for place, text in enumerate(texts)
            ],
        )
        tx.announce("deployment_log", deployment_id)

    async def read(self, tx: Transaction, deployment_id: str, *, after: int, limit: int) -> list[LogLine]:
        """Up to `limit` lines with a greater `seq`, oldest first."""
        rows = await tx.execute(
            select(deployment_logs)
            .where(deployment_logs.c.deployment_id == deployment_id, deployment_logs.c.seq > after)
            .order_by(deployment_logs.c.seq)
            .limit(limit)
        )
        return [LogLine(seq=row.seq, at=row.at, phase=row.phase, text=row.text) for row in rows]

    async def last_seq(self, tx: Transaction, deployment_id: str) -> int:
        """The number of the newest line, 0 when there is none."""
        last = await tx.execute(
            select(func.max(deployment_logs.c.seq)).where(deployment_logs.c.deployment_id == deployment_id)
        )
        return last.scalar_one() or 0

    async def count_output(
        self, tx: Transaction, deployment_id: str, *, phase: str, after_phase: str
    ) -> tuple[int, int, int]:
        """Lines of `phase` since the last line of `after_phase`, then lines and characters of `phase` in all."""
        own = deployment_logs.c.deployment_id == deployment_id
        begun = await tx.execute(
            select(func.max(deployment_logs.c.seq)).where(own, deployment_logs.c.phase == after_phase)
        )
        since = await tx.execute(
            select(func.count()).where(
                own, deployment_logs.c.phase == phase, deployment_logs.c.seq > (begun.scalar_one() or 0)
            )
        )
        whole = await tx.execute(
            select(func.count(), func.sum(func.length(deployment_logs.c.text))).where(
                own, deployment_logs.c.phase == phase
            )
        )
        lines, characters = whole.one()
        return since.scalar_one(), lines, int(characters or 0)

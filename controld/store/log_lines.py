"""The lines of logs as rows: those of deployments, and of the runs of jobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Table, func, insert, select

from controld.core.ports import Transaction
from controld.model.deployment import LogLine


class LogLineStore:
    """Reads and appends lines; `seq` counts from 1 without gaps for each log.

    `owner` is the column that says whose log it is; each change announces (`kind`, the owner's id).
    """

    def __init__(self, table: Table, *, owner: str, kind: str) -> None:
        self._table = table
        self._owner = table.c[owner]
        self._kind = kind

    async def append(
        self, tx: Transaction, owner_id: str, *, at: dt.datetime, phase: str, texts: Sequence[str]
    ) -> None:
        """Add lines of one phase and moment."""
        await self.append_lines(tx, owner_id, lines=[(at, phase, text) for text in texts])

    async def append_lines(
        self, tx: Transaction, owner_id: str, *, lines: Sequence[tuple[dt.datetime, str, str]]
    ) -> None:
        """Add lines, each with its moment, phase and text."""
        if not lines:
            return
        await tx.lock(f"log of {owner_id}")
        last = await tx.execute(select(func.max(self._table.c.seq)).where(self._owner == owner_id))
        first = (last.scalar_one() or 0) + 1
        await tx.execute(
            insert(self._table),
            [
                {self._owner.name: owner_id, "seq": first + place, "at": at, "phase": phase, "text": text}
                for place, (at, phase, text) in enumerate(lines)
            ],
        )
        tx.announce(self._kind, owner_id)

    async def read(self, tx: Transaction, owner_id: str, *, after: int, limit: int) -> list[LogLine]:
        """Up to `limit` lines with a greater `seq`, oldest first."""
        rows = await tx.execute(
            select(self._table)
            .where(self._owner == owner_id, self._table.c.seq > after)
            .order_by(self._table.c.seq)
            .limit(limit)
        )
        return [LogLine(seq=row.seq, at=row.at, phase=row.phase, text=row.text) for row in rows]

    async def last_seq(self, tx: Transaction, owner_id: str) -> int:
        """The number of the newest line, 0 when there is none."""
        last = await tx.execute(select(func.max(self._table.c.seq)).where(self._owner == owner_id))
        return last.scalar_one() or 0

    async def count_output(
        self, tx: Transaction, owner_id: str, *, phase: str, after_phase: str
    ) -> tuple[int, int, int]:
        """Lines of `phase` since the last line of `after_phase`, then lines and characters of `phase` in all."""
        own = self._owner == owner_id
        begun = await tx.execute(select(func.max(self._table.c.seq)).where(own, self._table.c.phase == after_phase))
        since = await tx.execute(
            select(func.count()).where(own, self._table.c.phase == phase, self._table.c.seq > (begun.scalar_one() or 0))
        )
        whole = await tx.execute(
            select(func.count(), func.sum(func.length(self._table.c.text))).where(own, self._table.c.phase == phase)
        )
        lines, characters = whole.one()
        return since.scalar_one(), lines, int(characters or 0)

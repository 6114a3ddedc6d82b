"""Audit records in the database."""

from __future__ import annotations

from sqlalchemy import select

from controld.core.ports import Transaction
from controld.model.audit import AuditRecord
from controld.store.tables import audit


class AuditStore:
    """Appends and reads audit records."""

    async def add(self, tx: Transaction, record: AuditRecord) -> None:
        """Keep one more record."""
        await tx.execute(
            audit.insert().values(
                id=record.id,
                at=record.at,
                actor=record.actor,
                address=record.address,
                action=record.action,
                object_kind=record.object_kind,
                object_id=record.object_id,
                project_id=record.project_id,
                outcome=record.outcome,
                details=record.details,
            )
        )

    async def list(self, tx: Transaction, *, limit: int) -> list[AuditRecord]:
        """The newest records, newest first."""
        statement = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        return [
            AuditRecord(
                id=row.id,
                at=row.at,
                actor=row.actor,
                address=row.address,
                action=row.action,
                object_kind=row.object_kind,
                object_id=row.object_id,
                project_id=row.project_id,
                outcome=row.outcome,
                details=row.details,
            )
            for row in await tx.execute(statement)
        ]

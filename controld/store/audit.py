"""Audit records in the database."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, or_, select

from controld.core.ports import Transaction
from controld.model.audit import AuditQuery, AuditRecord
from controld.model.page import Page
from controld.store.tables import audit

_SLICE: Final = 5_000


class AuditStore:
    """Appends, reads and forgets audit records."""

    async def add(self, tx: Transaction, record: AuditRecord) -> None:
        """Keep one more record."""
        await tx.execute(
            audit.insert().values(
                id=record.id,
                at=record.at,
                actor=record.actor,
                actor_id=record.actor.get("id"),
                actor_name=record.actor.get("name"),
                address=record.address,
                action=record.action,
                object_kind=record.object_kind,
                object_id=record.object_id,
                project_id=record.project_id,
                outcome=record.outcome,
                details=record.details,
            )
        )

    async def list(self, tx: Transaction, query: AuditQuery, *, page: Page) -> list[AuditRecord]:
        """A page of the records that the query means and one more, newest first; `before` is one of them."""
        where = _conditions(query)
        if page.before is not None:
            last = select(audit.c.at).where(*where, audit.c.id == page.before).scalar_subquery()
            where.append(or_(audit.c.at < last, (audit.c.at == last) & (audit.c.id < page.before)))
        statement = select(audit).where(*where).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(page.limit + 1)
        return [_record(row) for row in await tx.execute(statement)]

    async def drop_older(self, tx: Transaction, moment: dt.datetime) -> int:
        """Forget the oldest records from ahead of the moment, at most 5,000 at once, and say how many."""
        oldest = select(audit.c.id).where(audit.c.at < moment).order_by(audit.c.at).limit(_SLICE)
        return int((await tx.execute(delete(audit).where(audit.c.id.in_(oldest)))).rowcount)


def _conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if query.in_projects:
        where.append(audit.c.project_id.is_not(None))
    if query.projects is not None:
        where.append(audit.c.project_id.in_(query.projects))
    if query.actor is not None:
        where.append(or_(audit.c.actor_id == query.actor, audit.c.actor_name == query.actor))
    if query.action is not None:
        begins = audit.c.action.startswith(f"{query.action}.", autoescape=True)
        where.append(or_(audit.c.action == query.action, begins))
    if query.since is not None:
        where.append(audit.c.at >= query.since)
    if query.until is not None:
        where.append(audit.c.at < query.until)
    for column, value in (
        (audit.c.object_kind, query.object_kind),
        (audit.c.object_id, query.object_id),
        (audit.c.outcome, query.outcome),
    ):
        if value is not None:
            where.append(column == value)
    return where


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(
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

"""Consoles and their tickets in the database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from controld.core.ports import Transaction
from controld.model.caller import Caller, CallerKind, TokenKind
from controld.model.console import Console, ConsoleTicket
from controld.model.page import Page
from controld.store.tables import console_tickets, consoles


class ConsoleTicketStore:
    """Reads and writes tickets; each can be taken once, whichever controld is asked."""

    async def add(self, tx: Transaction, ticket: ConsoleTicket) -> None:
        """Keep a new ticket."""
        await tx.execute(
            insert(console_tickets).values(
                sha256=ticket.sha256,
                session_id=ticket.session_id,
                is_return=ticket.is_return,
                received=ticket.received,
                project_id=ticket.project_id,
                service_id=ticket.service_id,
                deployment_id=ticket.deployment_id,
                replica_id=ticket.replica_id,
                replica_index=ticket.replica_index,
                node_id=ticket.node_id,
                cols=ticket.cols,
                rows=ticket.rows,
                holder=_holder_row(ticket.holder),
                expires_at=ticket.expires_at,
            )
        )

    async def take(self, tx: Transaction, sha256: str) -> ConsoleTicket | None:
        """Remove the ticket and return what it was; None when there is none, or none any more."""
        statement = delete(console_tickets).where(console_tickets.c.sha256 == sha256).returning(*console_tickets.c)
        row = (await tx.execute(statement)).one_or_none()
        if row is None:
            return None
        return ConsoleTicket(
            sha256=row.sha256,
            session_id=row.session_id,
            is_return=row.is_return,
            received=row.received,
            project_id=row.project_id,
            service_id=row.service_id,
            deployment_id=row.deployment_id,
            replica_id=row.replica_id,
            replica_index=row.replica_index,
            node_id=row.node_id,
            cols=row.cols,
            rows=row.rows,
            holder=_holder(row.holder),
            expires_at=row.expires_at,
        )

    async def drop_expired(self, tx: Transaction, now: dt.datetime) -> None:
        """Forget those that were not used in time."""
        await tx.execute(delete(console_tickets).where(console_tickets.c.expires_at <= now))


class ConsoleStore:
    """Reads and writes what is known of consoles."""

    async def add(self, tx: Transaction, console: Console) -> None:
        """Keep a console that begins."""
        await tx.execute(
            insert(consoles).values(
                id=console.id,
                project_id=console.project_id,
                service_id=console.service_id,
                deployment_id=console.deployment_id,
                replica_id=console.replica_id,
                replica_index=console.replica_index,
                node_id=console.node_id,
                holder=_holder_row(console.holder),
                cols=console.cols,
                rows=console.rows,
                started_at=console.started_at,
            )
        )

    async def get(self, tx: Transaction, console_id: str) -> Console | None:
        """The console, or None."""
        row = (await tx.execute(select(consoles).where(consoles.c.id == console_id))).one_or_none()
        return None if row is None else _console(row)

    async def finish(
        self, tx: Transaction, console_id: str, *, at: dt.datetime, how: str, exit_code: int | None
    ) -> Console | None:
        """Note the end of a console, and return it; None when it was noted before."""
        statement = (
            update(consoles)
            .where(consoles.c.id == console_id, consoles.c.ended_at.is_(None))
            .values(ended_at=at, how=how, exit_code=exit_code)
            .returning(*consoles.c)
        )
        row = (await tx.execute(statement)).one_or_none()
        return None if row is None else _console(row)

    async def note_transcript(self, tx: Transaction, console_id: str, *, size_bytes: int) -> None:
        """Note how large its transcript is by now."""
        await tx.execute(update(consoles).where(consoles.c.id == console_id).values(transcript_bytes=size_bytes))

    async def list_open(self, tx: Transaction) -> list[Console]:
        """Those whose end is not known, oldest first."""
        rows = await tx.execute(select(consoles).where(consoles.c.ended_at.is_(None)).order_by(consoles.c.id))
        return [_console(row) for row in rows]

    async def list_recorded(self, tx: Transaction, service_id: str, *, page: Page) -> list[Console]:
        """A page of the service's consoles that have a transcript and one more, newest first."""
        statement = (
            select(consoles)
            .where(consoles.c.service_id == service_id, consoles.c.transcript_bytes.is_not(None))
            .order_by(consoles.c.id.desc())
            .limit(page.limit + 1)
        )
        if page.before is not None:
            statement = statement.where(consoles.c.id < page.before)
        return [_console(row) for row in await tx.execute(statement)]

    async def list_older(self, tx: Transaction, moment: dt.datetime, *, limit: int) -> list[str]:
        """The ids of consoles that ended ahead of the moment."""
        statement = select(consoles.c.id).where(consoles.c.ended_at < moment).order_by(consoles.c.ended_at).limit(limit)
        return list((await tx.execute(statement)).scalars())

    async def delete(self, tx: Transaction, ids: Sequence[str]) -> None:
        """Forget these."""
        await tx.execute(delete(consoles).where(consoles.c.id.in_(ids)))


def _holder_row(caller: Caller) -> dict[str, str | None]:
    return {
        "kind": caller.kind.value,
        "token_kind": caller.token_kind.value,
        "token_id": caller.token_id,
        "user_id": caller.user_id,
        "username": caller.username,
        "address": caller.address,
    }


def _holder(row: dict[str, str | None]) -> Caller:
    """Who it is; what they may do is not kept."""
    return Caller(
        kind=CallerKind(row["kind"]),
        token_kind=TokenKind(row["token_kind"]),
        token_id=row["token_id"],
        user_id=row["user_id"],
        username=row["username"],
        address=row["address"] or "",
    )


def _console(row: Row[Any]) -> Console:
    return Console(
        id=row.id,
        project_id=row.project_id,
        service_id=row.service_id,
        deployment_id=row.deployment_id,
        replica_id=row.replica_id,
        replica_index=row.replica_index,
        node_id=row.node_id,
        holder=_holder(row.holder),
        cols=row.cols,
        rows=row.rows,
        started_at=row.started_at,
        ended_at=row.ended_at,
        how=row.how,
        exit_code=row.exit_code,
        transcript_bytes=row.transcript_bytes,
    )

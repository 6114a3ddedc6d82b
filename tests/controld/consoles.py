"""Consoles and tickets as records for tests."""

from __future__ import annotations

import datetime as dt

from controld.model.caller import Caller, CallerKind, TokenKind
from controld.model.console import Console, ConsoleTicket

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOLDER = Caller(
    kind=CallerKind.USER,
    token_kind=TokenKind.API_TOKEN,
    token_id="t-1",
    user_id="u-1",
    username="ada",
    address="192.0.2.1",
)


def make_console(console_id: str) -> Console:
    """A console that runs."""
    return Console(
        id=console_id,
        project_id="p-1",
        service_id="s-1",
        deployment_id="d-1",
        replica_id="r-1",
        replica_index=0,
        node_id="n-1",
        holder=HOLDER,
        cols=120,
        rows=32,
        started_at=AT,
    )


def make_ticket(sha256: str, *, service_id: str) -> ConsoleTicket:
    """A ticket for a new console."""
    return ConsoleTicket(
        sha256=sha256,
        session_id="c-1",
        is_return=False,
        received=None,
        project_id="p-1",
        service_id=service_id,
        deployment_id="d-1",
        replica_id="r-1",
        replica_index=0,
        node_id="n-1",
        cols=120,
        rows=32,
        holder=HOLDER,
        expires_at=AT + dt.timedelta(seconds=30),
    )

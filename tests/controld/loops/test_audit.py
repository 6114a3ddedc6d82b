"""Refused attempts are written every few seconds, and old records go."""

from __future__ import annotations

import pytest

from controld.core.faults import StoreUnavailable
from controld.loops.audit import AuditDuty
from controld.model.audit import AuditQuery
from controld.model.page import Page
from kit.tasks import Tasks
from tests.controld.app import App
from tests.waiting import eventually


async def _actions(app: App) -> list[str]:
    async with app.database.read() as tx:
        return [record.action for record in await app.audit_store.list(tx, AuditQuery(), page=Page(limit=100))]


async def test_refusals_are_written_at_a_beat_and_one_that_fails_is_made_good_by_the_next(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, beats = app.refusals.write, 0

    async def fail_once() -> None:
        nonlocal beats
        beats += 1
        if beats == 1:
            raise StoreUnavailable("cannot reach the database")
        await write()

    monkeypatch.setattr(app.refusals, "write", fail_once)
    app.refusals.note_sign_in("ada", address="192.0.2.1")
    tasks = Tasks("test")
    tasks.start("audit", AuditDuty(refusals=app.refusals, trail=app.audit_trail, clock=app.clock).run())
    try:

        async def is_written() -> bool:
            await app.clock.advance(5)
            return await _actions(app) == ["session.create"]

        await eventually(is_written)
    finally:
        await tasks.close()
    assert beats > 1


async def test_old_records_go_within_the_hour(app: App) -> None:
    await app.add_project("old")
    await app.clock.advance(366 * 86_400)
    tasks = Tasks("test")
    tasks.start("audit", AuditDuty(refusals=app.refusals, trail=app.audit_trail, clock=app.clock).run())
    try:

        async def is_gone() -> bool:
            return await _actions(app) == []

        await eventually(is_gone)
    finally:
        await tasks.close()

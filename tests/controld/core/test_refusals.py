"""Refused attempts reach the audit, and never more of them than it can bear."""

from __future__ import annotations

import contextlib

import pytest

from controld.core.faults import StoreUnavailable, WrongCredentials
from controld.core.refusals import PER_ADDRESS, PER_MINUTE
from controld.model.audit import AuditQuery, AuditRecord
from controld.model.page import Page
from tests.controld.app import App


async def _records(app: App) -> list[AuditRecord]:
    await app.refusals.write()
    async with app.database.read() as tx:
        return await app.audit_store.list(tx, AuditQuery(), page=Page(limit=1000))


async def test_a_refused_sign_in_is_recorded(app: App) -> None:
    with contextlib.suppress(WrongCredentials):
        await app.sessions.sign_in("ada", "wrong", address="192.0.2.5")
    (newest,) = await _records(app)
    assert (newest.action, newest.outcome, newest.address) == ("session.create", "refused", "192.0.2.5")
    assert newest.details == {"username": "ada"}


async def test_one_address_and_all_together_fill_no_more_than_their_part_and_what_is_left_out_is_counted(
    app: App,
) -> None:
    for _ in range(PER_ADDRESS + 12):
        app.refusals.note_sign_in("ada", address="192.0.2.5")
    found = await _records(app)
    assert len(found) == PER_ADDRESS + 1
    assert [record.details for record in found if record.action == "refusals.left_out"] == [{"count": 12}]
    for number in range(PER_MINUTE):
        app.refusals.note_sign_in("ada", address=f"2001:db8::{number:x}")
    assert len(await _records(app)) == PER_MINUTE + 2
    await app.clock.advance(61)
    app.refusals.note_sign_in("ada", address="192.0.2.5")
    assert len(await _records(app)) == PER_MINUTE + 3


async def test_what_cannot_be_written_is_written_later_under_its_own_moment(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = app.clock.now()
    app.refusals.note_sign_in("ada", address="192.0.2.5")
    with monkeypatch.context() as patch:
        patch.setattr(app.database, "write", _fail)
        with pytest.raises(StoreUnavailable):
            await app.refusals.write()
    await app.clock.advance(5)
    (record,) = await _records(app)
    assert record.at == moment


def _fail() -> None:
    raise StoreUnavailable("cannot reach the database")

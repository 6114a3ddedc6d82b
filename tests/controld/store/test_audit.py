"""Audit records are kept, found and forgotten alike on both databases."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from controld.model.audit import AuditQuery, AuditRecord
from controld.model.page import Page
from controld.store.audit import AuditStore
from controld.store.engine import Database
from tests.controld.store.rows import NOW

_ALL = Page(limit=100)


def _record(number: int, **more: object) -> AuditRecord:
    made = AuditRecord(
        id=f"r{number}",
        at=NOW + dt.timedelta(minutes=number),
        actor={"kind": "user", "id": "u1", "name": "ada", "token_kind": "session", "token_id": "n1"},
        address="192.0.2.1",
        action="service.create",
        object_kind="service",
        object_id="s1",
        project_id="p1",
        outcome="done",
        details={"name": "web"},
    )
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


_RECORDS = (
    _record(1),
    _record(2, actor={"kind": "bootstrap", "id": None, "name": None}, action="user.create", project_id=None),
    _record(3, action="service_x.create", object_kind="other"),
    _record(4, project_id="p2", object_id="s2", outcome="refused"),
    _record(5, at=NOW + dt.timedelta(minutes=4), actor={"kind": "user", "id": "u2", "name": "bob"}),
)


async def _fill(database: Database) -> None:
    async with database.write() as tx:
        for record in _RECORDS:
            await AuditStore().add(tx, record)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (AuditQuery(), "54321"),
        (AuditQuery(actor="u1"), "431"),
        (AuditQuery(actor="bob"), "5"),
        (AuditQuery(action="service"), "541"),
        (AuditQuery(action="service.create"), "541"),
        (AuditQuery(object_kind="other"), "3"),
        (AuditQuery(object_id="s2"), "4"),
        (AuditQuery(outcome="refused"), "4"),
        (AuditQuery(since=NOW + dt.timedelta(minutes=3)), "543"),
        (AuditQuery(until=NOW + dt.timedelta(minutes=3)), "21"),
        (AuditQuery(projects=frozenset({"p2"})), "4"),
        (AuditQuery(projects=frozenset()), ""),
        (AuditQuery(in_projects=True), "5431"),
    ],
)
async def test_a_query_finds_what_it_means_newest_first(
    either_database: Database, query: AuditQuery, found: str
) -> None:
    await _fill(either_database)
    async with either_database.read() as tx:
        assert [each.id for each in await AuditStore().list(tx, query, page=_ALL)] == [f"r{each}" for each in found]


async def test_pages_follow_each_other_though_records_share_a_moment(either_database: Database) -> None:
    await _fill(either_database)
    seen: list[AuditRecord] = []
    async with either_database.read() as tx:
        while True:
            before = seen[-1].id if seen else None
            found = await AuditStore().list(tx, AuditQuery(), page=Page(limit=1, before=before))
            seen += found[:1]
            if len(found) < 2:
                break
        assert seen == list(reversed(_RECORDS))
        elsewhere = AuditQuery(projects=frozenset({"p1"}))
        assert await AuditStore().list(tx, elsewhere, page=Page(limit=9, before="r4")) == []


async def test_what_is_older_is_forgotten(either_database: Database) -> None:
    await _fill(either_database)
    async with either_database.write() as tx:
        assert await AuditStore().drop_older(tx, NOW + dt.timedelta(minutes=3)) == 2
        assert await AuditStore().drop_older(tx, NOW + dt.timedelta(minutes=3)) == 0
        assert [each.id for each in await AuditStore().list(tx, AuditQuery(), page=_ALL)] == ["r5", "r4", "r3"]

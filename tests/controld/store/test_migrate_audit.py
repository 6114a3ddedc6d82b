"""Audit records of an earlier release are found by who acted, as new ones are."""

from __future__ import annotations

from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from controld.model.audit import AuditQuery
from controld.model.page import Page
from controld.store.audit import AuditStore
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.migrate import MIGRATIONS
from tests.fakes.clock import FakeClock

_ADA = '{"kind":"user","id":"u1","name":"ada"}'
_SETUP = '{"kind":"bootstrap","id":null,"name":null}'


def _bring_to(connection: Connection, revision: str) -> None:
    script = ScriptDirectory(str(MIGRATIONS))

    def upgrade(current: Any, _: MigrationContext) -> Any:
        return script._upgrade_revs(revision, current)

    context = MigrationContext.configure(connection, opts={"fn": upgrade, "transactional_ddl": True})
    with Operations.context(context):
        context.run_migrations()


async def test_who_acted_is_read_out_of_older_records(empty_url: str) -> None:
    engine = create_async_engine(empty_url)
    async with engine.begin() as connection:
        await connection.run_sync(_bring_to, "0005")
        for id, actor in (("a1", _ADA), ("a2", _SETUP)):
            await connection.execute(
                text(
                    "INSERT INTO audit (id, at, actor, address, action, object_kind, outcome, details)"
                    " VALUES (:id, 1, :actor, '', 'user.create', 'user', 'done', '{}')"
                ),
                {"id": id, "actor": actor},
            )
    await engine.dispose()
    database = Database(empty_url, feed=Feed("test"), clock=FakeClock())
    await database.open()
    async with database.read() as tx:
        for query, found in ((AuditQuery(actor="u1"), ["a1"]), (AuditQuery(actor="ada"), ["a1"])):
            assert [each.id for each in await AuditStore().list(tx, query, page=Page(limit=9))] == found
        assert len(await AuditStore().list(tx, AuditQuery(), page=Page(limit=9))) == 2
    await database.close()

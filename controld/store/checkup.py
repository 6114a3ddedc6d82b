"""Looks at a control database from outside, without changing or upgrading it, beside a controld that works with it."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import create_engine, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from controld.core.faults import StoreUnavailable
from controld.model.node import NodeState
from controld.store.connection import Connection, connected, dispose
from controld.store.migrate import find_head
from controld.store.tables import node_reports, nodes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFacts:
    """How far a database's schema is."""

    revision: str | None
    """None: it has none yet."""
    head: str
    """What this release needs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeardNode:
    """When a node was last heard."""

    name: str
    state: str
    heard_at: dt.datetime | None


class Checkup:
    """Asks the database at a URL; each ask raises StoreUnavailable when it cannot be opened or read."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file, and not PostgreSQL."""
        return self._url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """The SQLite file."""
        return Path(self._url.database) if self.is_sqlite and self._url.database else None

    async def read_schema(self) -> SchemaFacts:
        """The revision it has and the one that is needed."""
        head = await asyncio.to_thread(find_head)
        async with self._connect() as connection:
            if not await connection.run(lambda plain: inspect(plain).has_table("alembic_version")):
                return SchemaFacts(revision=None, head=head)
            found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one_or_none()
        return SchemaFacts(revision=found, head=head)

    async def find_damage(self) -> str | None:
        """The first thing that SQLite's own quick check finds; None for a sound file. PostgreSQL is not asked."""
        if not self.is_sqlite:
            return None
        try:
            async with self._connect() as connection:
                said = str((await connection.execute(text("PRAGMA quick_check(1)"))).scalar_one())
        except StoreUnavailable as fault:
            if _is_corrupt(fault.__cause__):
                return fault.message
            raise
        return None if said == "ok" else said

    async def list_heard(self) -> list[HeardNode]:
        """Nodes that are not removed, by name, each with when it was last heard."""
        statement = (
            select(nodes.c.name, nodes.c.state, nodes.c.heard_at, node_reports.c.heard_at.label("reported_at"))
            .select_from(nodes.outerjoin(node_reports, node_reports.c.node_id == nodes.c.id))
            .where(nodes.c.state != NodeState.REMOVED.value)
            .order_by(nodes.c.name)
        )
        async with self._connect() as connection:
            rows = list(await connection.execute(statement))
        return [
            HeardNode(
                name=row.name,
                state=row.state,
                heard_at=max((at for at in (row.heard_at, row.reported_at) if at is not None), default=None),
            )
            for row in rows
        ]

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Connection]:
        url = self._url
        if self.file is not None:
            url = url.set(database=f"file:{self.file}", query={"mode": "ro", "uri": "true"})
        engine = create_engine(url)
        try:
            async with connected(engine) as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            raise StoreUnavailable(f"cannot read the database: {getattr(error, 'orig', None) or error}") from error
        finally:
            await dispose(engine)


def _is_corrupt(error: BaseException | None) -> bool:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlite_errorcode", None) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

"""Brings a database's schema forward to what this release needs, with a copy of a SQLite file put aside first."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect, text

from controld.core.faults import DatabaseNewer
from controld.store.connection import connected
from kit.clock import Clock

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

_log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
MORE_VERSIONS: tuple[Path, ...] = ()
"""Folders of revisions beside our own."""
_LOCK = 0x6D6F6F72


async def migrate(engine: Engine, *, clock: Clock) -> None:
    """Run every migration that the database has not had, in one transaction; raises DatabaseNewer."""
    head = await asyncio.to_thread(find_head)
    async with connected(engine) as connection:
        current = await connection.run(_read_revision)
        if current == head:
            return
        script = await asyncio.to_thread(_load_script)
        _refuse_newer(script, current)
        if current is not None and engine.dialect.name == "sqlite" and engine.url.database:
            await asyncio.to_thread(
                _put_aside, Path(engine.url.database), head=head, stamp=f"{clock.now():%Y%m%dT%H%M%SZ}"
            )
    async with connected(engine) as connection:
        await connection.set_options(moorage_write=True)
        if engine.dialect.name == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        await connection.run(_run, script)
        await connection.commit()
    _log.info("database migrated", extra={"from": current, "to": head})


def find_head() -> str:
    """The last revision by its file's number, which spares a start with nothing to do from loading Alembic (11 MB)."""
    return max(file.name.partition("_")[0] for folder in _folders() for file in folder.glob("[0-9]*_*.py"))


def _folders() -> list[Path]:
    return [MIGRATIONS / "versions", *MORE_VERSIONS]


def _load_script() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(MIGRATIONS), version_locations=[str(folder) for folder in _folders()])
    list(script.walk_revisions())
    return script


def _read_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def _refuse_newer(script: ScriptDirectory, current: str | None) -> None:
    known = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in known:
        raise DatabaseNewer(
            f"cannot open the database: it was written by a newer release (schema {current}, this release knows up to "
            f"{script.get_current_head()}); start that release, or restore the copy put aside before it migrated"
        )


def _run(connection: Connection, script: ScriptDirectory) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    def upgrade(revision: Any, _: MigrationContext) -> Any:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - the way Alembic's own command does it

    context = MigrationContext.configure(connection, opts={"fn": upgrade, "transactional_ddl": True})
    with Operations.context(context):
        context.run_migrations()


def _put_aside(file: Path, *, head: str, stamp: str) -> None:
    copy = file.with_name(f"{file.name}.before-{head}-{stamp}")
    with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    copy.chmod(0o600)
    _log.info("database copied before migration", extra={"copy": str(copy)})

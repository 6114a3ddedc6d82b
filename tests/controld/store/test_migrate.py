"""A database is brought forward at start, and the code's tables are what it then holds."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from controld.core.faults import DatabaseNewer
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.migrate import MIGRATIONS, find_head
from controld.store.tables import metadata, projects
from tests.fakes.clock import FakeClock


def _database(url: str) -> Database:
    return Database(url, feed=Feed("test"), clock=FakeClock())


async def _set_revision(url: str, revision: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    await engine.dispose()


async def test_the_tables_in_code_are_those_of_a_migrated_database(empty_url: str) -> None:
    database = _database(empty_url)
    await database.open()
    await database.close()
    engine = create_async_engine(empty_url)

    def compare(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()


def test_revisions_are_in_the_order_of_their_numbers() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    numbers = [revision.revision for revision in script.walk_revisions()]
    assert numbers == sorted(numbers, reverse=True)
    assert find_head() == script.get_current_head()


async def test_a_fresh_database_has_the_project_default(empty_url: str) -> None:
    database = _database(empty_url)
    await database.open()
    async with database.read() as tx:
        names = (await tx.execute(select(projects.c.name))).scalars().all()
    await database.close()
    assert names == ["default"]


async def test_opening_again_changes_nothing(empty_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        database = _database(empty_url)
        await database.open()
        await database.close()
    assert _copies(tmp_path) == []


async def test_two_controlds_that_start_at_once_migrate_it_once(postgres_url: str) -> None:
    both = [_database(postgres_url) for _ in range(2)]
    await asyncio.gather(*(database.open() for database in both))
    for database in both:
        async with database.read() as tx:
            assert len((await tx.execute(select(projects))).all()) == 1
        await database.close()


async def test_a_database_of_a_newer_release_is_refused_in_clear_words(empty_url: str) -> None:
    database = _database(empty_url)
    await database.open()
    await database.close()
    await _set_revision(empty_url, "9999")
    database = _database(empty_url)
    with pytest.raises(DatabaseNewer, match="written by a newer release"):
        await database.open()
    await database.close()


async def test_a_copy_is_put_aside_before_a_sqlite_file_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "control.db"
    url = f"sqlite+aiosqlite:///{file}"
    database = _database(url)
    await database.open()
    await database.close()
    head = await asyncio.to_thread(find_head)
    newer = tmp_path / "versions"
    newer.mkdir()
    (newer / "9999_more.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\nrevision = '9999'\n"
        f"down_revision = '{head}'\n"
        "def upgrade():\n    op.add_column('facts', sa.Column('more', sa.Integer))\n"
    )
    monkeypatch.setattr("controld.store.migrate.MORE_VERSIONS", (newer,))
    database = _database(url)
    await database.open()
    await database.close()
    (copy,) = _copies(tmp_path)
    assert copy.name == "control.db.before-9999-20260101T000000Z"
    assert "more" in _columns(file)
    assert "more" not in _columns(copy)
    assert copy.stat().st_mode & 0o777 == 0o600


def _copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("control.db.before-*"))


def _columns(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    try:
        return [row[1] for row in connection.execute("PRAGMA table_info(facts)")]
    finally:
        connection.close()

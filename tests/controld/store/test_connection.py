"""A connection's results outlive it, and what was not committed does not, the same on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection as Blocking
from sqlalchemy import Engine, create_engine, text

from controld.store.connection import Connection, connected, dispose


@pytest.fixture
async def engine(empty_url: str) -> AsyncIterator[Engine]:
    """An engine on an empty database, once on SQLite and once on PostgreSQL."""
    made = create_engine(empty_url)
    async with connected(made) as connection:
        await connection.execute(text("CREATE TABLE words (word TEXT)"))
        await connection.commit()
    yield made
    await dispose(made)


async def _words(engine: Engine) -> list[str]:
    async with connected(engine) as connection:
        return list((await connection.execute(text("SELECT word FROM words ORDER BY word"))).scalars())


async def test_a_result_has_its_rows_when_the_connection_is_closed(engine: Engine) -> None:
    async with connected(engine) as connection:
        result = await connection.execute(text("SELECT 1 AS one, 'x' AS letter"))
    row = result.one()
    assert (row.one, row.letter) == (1, "x")


async def test_a_change_tells_how_many_rows_it_met(engine: Engine) -> None:
    async with connected(engine) as connection:
        added = await connection.execute(text("INSERT INTO words VALUES (:word)"), [{"word": "a"}, {"word": "b"}])
        assert not added.returns_rows
        assert (await connection.execute(text("DELETE FROM words WHERE word = 'a'"))).rowcount == 1


async def test_a_change_that_returns_rows_is_made_once(engine: Engine) -> None:
    async with connected(engine) as connection:
        result = await connection.execute(text("INSERT INTO words VALUES ('a') RETURNING word"))
        assert result.scalar_one() == "a"
        await connection.commit()
    assert await _words(engine) == ["a"]


async def test_what_was_not_committed_is_rolled_back(engine: Engine) -> None:
    async with connected(engine) as connection:
        await connection.execute(text("INSERT INTO words VALUES ('kept')"))
        await connection.commit()
        await connection.execute(text("INSERT INTO words VALUES ('lost')"))
    assert await _words(engine) == ["kept"]


async def test_work_that_blocks_waits_for_the_driver(engine: Engine) -> None:
    def count(connection: Blocking, table: str) -> int:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    async with connected(engine) as connection:
        assert await connection.run(count, "words") == 0


async def test_a_connection_that_was_never_opened_says_so(engine: Engine) -> None:
    connection = Connection(engine)
    assert not connection.is_open
    with pytest.raises(RuntimeError, match="not open"):
        await connection.execute(text("SELECT 1"))

"""Transactions behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, select, update

from controld.core.faults import AlreadyExists, StoreUnavailable
from controld.model.change import Change
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.tables import facts, memberships
from kit.clock import SystemClock
from kit.faults import Invalid


async def _facts(database: Database) -> dict[str, object]:
    async with database.read() as tx:
        return {row.name: row.value for row in await tx.execute(select(facts))}


async def test_what_is_written_is_there_after_the_block(either_database: Database) -> None:
    async with either_database.write() as tx:
        await tx.execute(insert(facts).values(name="a", value={"n": [1, 2]}))
    assert await _facts(either_database) == {"a": {"n": [1, 2]}}


async def test_an_exception_takes_everything_back_and_tells_the_feed_nothing(either_database: Database) -> None:
    heard: list[Change] = []
    either_database.feed.subscribe(heard.append)

    async def fail() -> None:
        async with either_database.write() as tx:
            await tx.execute(insert(facts).values(name="a", value=1))
            tx.announce("fact", "a")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        await fail()
    assert await _facts(either_database) == {}
    assert heard == []


async def test_the_feed_is_told_once_for_each_change_after_the_commit(either_database: Database) -> None:
    heard: list[Change] = []
    either_database.feed.subscribe(heard.append, kinds=["fact"])
    async with either_database.write() as tx:
        tx.announce("fact", "a", "b")
        tx.announce("fact", "a")
        tx.announce("other", "x")
        assert heard == []
    assert heard == [Change("fact", "a"), Change("fact", "b")]


async def test_a_second_row_of_the_same_name_is_refused(either_database: Database) -> None:
    async def write() -> None:
        async with either_database.write() as tx:
            await tx.execute(insert(facts).values(name="a", value=1))

    await write()
    with pytest.raises(AlreadyExists):
        await write()


async def test_a_row_that_points_nowhere_is_refused(either_database: Database) -> None:
    async def write() -> None:
        async with either_database.write() as tx:
            await tx.execute(insert(memberships).values(project_id="x", user_id="y", role="viewer"))

    with pytest.raises(AlreadyExists):
        await write()


async def test_writers_that_lock_the_same_name_take_turns(either_database: Database) -> None:
    async with either_database.write() as tx:
        await tx.execute(insert(facts).values(name="count", value=0))

    async def add_one() -> None:
        async with either_database.write() as tx:
            await tx.lock("count")
            value = (await tx.execute(select(facts.c.value))).scalar_one()
            await asyncio.sleep(0)
            await tx.execute(update(facts).values(value=value + 1))

    await asyncio.gather(*(add_one() for _ in range(20)))
    assert await _facts(either_database) == {"count": 20}


async def test_a_reader_keeps_its_view_while_another_writes(either_database: Database) -> None:
    async with either_database.read() as reading:
        assert (await reading.execute(select(facts))).all() == []
        async with either_database.write() as writing:
            await writing.execute(insert(facts).values(name="a", value=1))
        assert (await reading.execute(select(facts))).all() == []
    assert await _facts(either_database) == {"a": 1}


async def test_a_nul_is_told_as_a_bad_value_and_no_bug(postgres_url: str) -> None:
    database = Database(postgres_url, feed=Feed("test"), clock=SystemClock())
    await database.open()

    async def look() -> None:
        async with database.read() as tx:
            await tx.execute(select(facts).where(facts.c.name == "\0"))

    with pytest.raises(Invalid):
        await look()
    await database.close()


async def test_a_database_that_cannot_be_reached_is_told_as_unavailable(free_port: int) -> None:
    url = f"postgresql+asyncpg://postgres@127.0.0.1:{free_port}/nowhere"
    database = Database(url, feed=Feed("test"), clock=SystemClock())
    with pytest.raises(StoreUnavailable):
        await database.open()
    await database.close()

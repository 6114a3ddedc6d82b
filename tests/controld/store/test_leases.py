"""A lease is one owner's at a time, and ends by itself."""

from __future__ import annotations

import asyncio
import datetime as dt

from controld.store.engine import Database
from controld.store.leases import LeaseStore
from tests.controld.store.rows import NOW

MINUTE = dt.timedelta(minutes=1)


async def test_a_lease_is_anothers_only_when_it_was_given_back_or_is_over(either_database: Database) -> None:
    store = LeaseStore()
    async with either_database.write() as tx:
        assert await store.take(tx, "x", owner="a", now=NOW, until=NOW + MINUTE)
        assert await store.take(tx, "x", owner="a", now=NOW, until=NOW + MINUTE)
        assert not await store.take(tx, "x", owner="b", now=NOW, until=NOW + MINUTE)
        assert await store.take(tx, "y", owner="b", now=NOW, until=NOW + MINUTE)
        await store.release(tx, "x", owner="b")
        assert not await store.take(tx, "x", owner="b", now=NOW, until=NOW + MINUTE)
        assert await store.take(tx, "x", owner="b", now=NOW + MINUTE, until=NOW + 2 * MINUTE)
        assert not await store.take(tx, "x", owner="a", now=NOW + MINUTE, until=NOW + 2 * MINUTE)
        await store.release(tx, "x", owner="b")
        assert await store.take(tx, "x", owner="a", now=NOW, until=NOW + MINUTE)


async def test_a_lease_written_ahead_of_a_clock_set_back_holds_nothing(either_database: Database) -> None:
    store = LeaseStore()
    async with either_database.write() as tx:
        assert await store.take(tx, "x", owner="a", now=NOW, until=NOW + MINUTE)
        back = NOW - dt.timedelta(days=1)
        assert await store.take(tx, "x", owner="b", now=back, until=back + MINUTE)


async def test_of_many_who_try_at_once_one_gets_it(either_database: Database) -> None:
    async def try_it(owner: str) -> bool:
        async with either_database.write() as tx:
            return await LeaseStore().take(tx, "x", owner=owner, now=NOW, until=NOW + MINUTE)

    assert sum(await asyncio.gather(*(try_it(str(number)) for number in range(8)))) == 1

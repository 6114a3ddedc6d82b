"""Facts, the same on both databases."""

from __future__ import annotations

from controld.store.engine import Database
from controld.store.facts import FactStore


async def test_a_fact_that_stands_is_not_replaced(either_database: Database) -> None:
    store = FactStore()
    async with either_database.write() as tx:
        assert await store.get(tx, "colour") is None
        assert await store.put_once(tx, "colour", {"is": "blue"}) == {"is": "blue"}
        assert await store.put_once(tx, "colour", {"is": "red"}) == {"is": "blue"}
    async with either_database.read() as tx:
        assert await store.get(tx, "colour") == {"is": "blue"}

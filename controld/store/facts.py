"""Single facts about this installation, by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from controld.core.ports import Transaction
from controld.store.tables import facts
from controld.store.upsert import insert_into


class FactStore:
    """Reads and writes facts, which are plain data."""

    async def get(self, tx: Transaction, name: str) -> Any:
        """The fact, or None."""
        return (await tx.execute(select(facts.c.value).where(facts.c.name == name))).scalar_one_or_none()

    async def put(self, tx: Transaction, name: str, value: Any) -> None:
        """Keep the fact in place of the one there was."""
        statement = insert_into(tx, facts).values(name=name, value=value)
        await tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    async def put_once(self, tx: Transaction, name: str, value: Any) -> Any:
        """Keep the fact unless there is one, and return the one that stands."""
        await tx.execute(insert_into(tx, facts).values(name=name, value=value).on_conflict_do_nothing())
        return await self.get(tx, name)

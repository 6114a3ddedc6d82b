"""Leases: of all controlds on one database, the holder alone does what a name or a row stands for.

They end by themselves when their holder dies. A lease that ends far later than a new one would was written ahead of a
wall clock set back, and holds nothing.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Table, and_, delete, insert, or_, select, update

from controld.core.ports import Transaction
from controld.store.tables import leases

T = TypeVar("T")

_NOBODY: Final[Mapping[str, Any]] = {"lease_owner": None, "lease_until": None}


class LeaseStore:
    """Takes and gives back leases by name."""

    async def take(self, tx: Transaction, name: str, *, owner: str, now: dt.datetime, until: dt.datetime) -> bool:
        """Hold the lease until then unless another holds it; whoever has it may take it again, for longer."""
        await tx.lock(f"lease {name}")
        taken = await tx.execute(
            update(leases)
            .where(
                leases.c.name == name,
                or_(leases.c.owner == owner, has_ended(leases.c.until, now=now, until=until)),
            )
            .values(owner=owner, until=until)
        )
        if taken.rowcount == 1:
            return True
        if (await tx.execute(select(leases.c.name).where(leases.c.name == name))).first() is not None:
            return False
        await tx.execute(insert(leases).values(name=name, owner=owner, until=until))
        return True

    async def release(self, tx: Transaction, name: str, *, owner: str) -> None:
        """Give the lease back, if it is still the owner's."""
        await tx.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))


class LeasedRows(ABC, Generic[T]):
    """Rows with a lease each (`lease_owner`, `lease_until`), there to be taken while the row is `unfinished`."""

    def __init__(self, table: Table, *, unfinished: ColumnElement[bool]) -> None:
        self._table = table
        self._unfinished = unfinished

    @abstractmethod
    async def find(self, tx: Transaction, row_id: str, /) -> T | None:
        """The row, or None."""

    async def claim(
        self, tx: Transaction, row_id: str, /, *, owner: str, now: dt.datetime, until: dt.datetime
    ) -> T | None:
        """Take the lease when nobody holds it; the row as it is now, or None."""
        columns = self._table.c
        free = or_(columns.lease_owner.is_(None), has_ended(columns.lease_until, now=now, until=until))
        taken = await tx.execute(
            update(self._table)
            .where(columns.id == row_id, self._unfinished, free)
            .values(lease_owner=owner, lease_until=until)
        )
        return await self.find(tx, row_id) if taken.rowcount == 1 else None

    async def renew(self, tx: Transaction, row_id: str, /, *, owner: str, until: dt.datetime) -> T | None:
        """Hold the lease for longer; the row as it is now, or None when the lease is another's or it is gone."""
        kept = await tx.execute(update(self._table).where(self._is_owned(row_id, owner)).values(lease_until=until))
        return await self.find(tx, row_id) if kept.rowcount == 1 else None

    async def release(self, tx: Transaction, row_id: str, /, *, owner: str) -> None:
        """Give the lease back."""
        await tx.execute(update(self._table).where(self._is_owned(row_id, owner)).values(**_NOBODY))

    async def release_all(self, tx: Transaction) -> None:
        """Drop every lease: their holders are gone, as at the start of the only controld of a database."""
        await tx.execute(update(self._table).where(self._table.c.lease_owner.is_not(None)).values(**_NOBODY))

    def _is_owned(self, row_id: str, owner: str) -> ColumnElement[bool]:
        return and_(self._table.c.id == row_id, self._table.c.lease_owner == owner)


def has_ended(column: ColumnElement[dt.datetime], *, now: dt.datetime, until: dt.datetime) -> ColumnElement[bool]:
    """Whether a lease that ends at the column's moment holds nothing, for who would hold it until then."""
    return or_(column <= now, column > until + (until - now))

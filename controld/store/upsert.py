"""INSERT statements that say what happens to a row that is there already, in the database's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Table
from sqlalchemy.dialects import sqlite

from controld.core.ports import Transaction

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert_into(tx: Transaction, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that has `on_conflict_do_update` and `on_conflict_do_nothing`; PostgreSQL's loads where it is used."""
    if tx.is_postgres:
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)

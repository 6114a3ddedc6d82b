"""Tables of the platform itself."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from controld.store.tables.base import Json, metadata, moment

facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Json, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    moment("until"),
)

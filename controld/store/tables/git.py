"""Tables of what repositories are cloned with."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text, UniqueConstraint

from controld.store.tables.base import id_column, metadata, moment, reference

git_credentials = Table(
    "git_credentials",
    metadata,
    id_column(),
    reference("project_id", "projects.id"),
    Column("name", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("username", Text, nullable=True),
    Column("public_key", Text, nullable=True),
    Column("fingerprint", String(64), nullable=True),
    Column("known_hosts", Text, nullable=True),
    moment("created_at"),
    UniqueConstraint("project_id", "name"),
)

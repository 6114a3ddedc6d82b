"""Tables of the registries that projects pull from."""

from __future__ import annotations

from sqlalchemy import Column, String, Table, Text, UniqueConstraint

from controld.store.tables.base import id_column, metadata, moment, reference

external_registries = Table(
    "external_registries",
    metadata,
    id_column(),
    reference("project_id", "projects.id"),
    Column("name", String(255), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("auth_kind", String(16), nullable=False),
    Column("credential_ref", String(64), nullable=True),
    moment("created_at"),
    moment("updated_at"),
    UniqueConstraint("project_id", "name"),
)

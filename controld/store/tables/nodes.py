"""Tables of nodes and what they report."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table

from controld.store.tables.base import Json, Moment, id_column, metadata, moment

nodes = Table(
    "nodes",
    metadata,
    id_column(),
    Column("name", String(255), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("labels", Json, nullable=False),
    Column("address", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("certificate_serial", String(64), nullable=False),
    Column("certificate_expires_at", Moment, nullable=False),
    Column("previous_serial", String(64), nullable=True),
    Column("agent_version", String(64), nullable=True),
    Column("wire_version", Integer, nullable=True),
    moment("created_at"),
    moment("heard_at", nullable=True),
    moment("removed_at", nullable=True),
    Column("peer_port", Integer, nullable=True),
)

node_reports = Table(
    "node_reports",
    metadata,
    Column("node_id", String(36), ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    moment("heard_at"),
    Column("applied_digest", String(80), nullable=True),
    Column("converged", Boolean, nullable=False),
    Column("report", LargeBinary, nullable=False),
)

join_tokens = Table(
    "join_tokens",
    metadata,
    id_column(),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("name", String(255), nullable=True),
    Column("created_by", String(36), nullable=True),
    moment("created_at"),
    moment("expires_at"),
    moment("used_at", nullable=True),
    Column("node_id", String(36), nullable=True),
)

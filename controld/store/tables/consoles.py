"""Tables of consoles: tickets that wait to be used, and what is known of each console."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table

from controld.store.tables.base import Json, id_column, metadata, moment, reference

console_tickets = Table(
    "console_tickets",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("session_id", String(36), nullable=False),
    Column("is_return", Boolean, nullable=False),
    Column("received", BigInteger, nullable=True),
    Column("project_id", String(36), nullable=False),
    reference("service_id", "services.id"),
    Column("deployment_id", String(36), nullable=False),
    Column("replica_id", String(36), nullable=False),
    Column("replica_index", Integer, nullable=False),
    Column("node_id", String(36), nullable=False),
    Column("cols", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("holder", Json, nullable=False),
    moment("expires_at"),
    Index(None, "expires_at"),
)

consoles = Table(
    "consoles",
    metadata,
    id_column(),
    Column("project_id", String(36), nullable=False),
    Column("service_id", String(36), nullable=False),
    Column("deployment_id", String(36), nullable=False),
    Column("replica_id", String(36), nullable=False),
    Column("replica_index", Integer, nullable=False),
    Column("node_id", String(36), nullable=False),
    Column("holder", Json, nullable=False),
    Column("cols", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    moment("started_at"),
    moment("ended_at", nullable=True),
    Column("how", String(32), nullable=True),
    Column("exit_code", Integer, nullable=True),
    Column("transcript_bytes", BigInteger, nullable=True),
    Index(None, "service_id", "id"),
    Index(None, "ended_at"),
)
"""A console outlives its service here, so that its end is still written down."""

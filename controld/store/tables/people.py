"""Tables of people: users, what they sign in with, their projects, and what they did."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text

from controld.store.tables.base import Json, id_column, metadata, moment, reference

users = Table(
    "users",
    metadata,
    id_column(),
    Column("username", String(255), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("is_super_admin", Boolean, nullable=False),
    moment("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    id_column(),
    Column("token_sha256", String(64), nullable=False, unique=True),
    reference("user_id", "users.id", index=True),
    moment("created_at"),
    moment("expires_at"),
    moment("last_used_at"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    id_column(),
    reference("user_id", "users.id", index=True),
    Column("name", String(255), nullable=False),
    Column("token_sha256", String(64), nullable=False, unique=True),
    moment("created_at"),
    moment("expires_at", nullable=True),
    moment("last_used_at", nullable=True),
    reference("project_id", "projects.id", nullable=True),
    Column("role_ceiling", String(16), nullable=True),
)

projects = Table(
    "projects",
    metadata,
    id_column(),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", Text, nullable=True),
    Column("shared_env", Json, nullable=False),
    Column("default_cpu_millis", BigInteger, nullable=True),
    Column("default_memory_bytes", BigInteger, nullable=True),
    moment("created_at"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("project_id", String(36), ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(36), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("role", String(16), nullable=False),
)

audit = Table(
    "audit",
    metadata,
    id_column(),
    moment("at"),
    Column("actor", Json, nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object_kind", String(32), nullable=False),
    Column("object_id", String(64), nullable=True),
    Column("project_id", String(36), nullable=True),
    Column("outcome", String(32), nullable=False),
    Column("details", Json, nullable=False),
    Column("actor_id", String(36), nullable=True),
    Column("actor_name", String(255), nullable=True),
    Index(None, "at"),
    Index(None, "project_id", "at"),
    Index(None, "object_id", "at"),
    Index(None, "actor_id", "at"),
    Index(None, "actor_name", "at"),
)

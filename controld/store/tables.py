"""Every table of the control database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Moment(TypeDecorator[dt.datetime]):
    """An aware moment, kept as microseconds since 1970 in UTC so that both databases compare it alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> int | None:
        """Microseconds of an aware moment."""
        del dialect
        return None if value is None else (value - _EPOCH) // dt.timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> dt.datetime | None:
        """The moment, in UTC."""
        del dialect
        return None if value is None else _EPOCH + dt.timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """Plain data as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The data as text; None stays NULL."""
        del dialect
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The data the text says."""
        del dialect
        return None if value is None else msgspec.json.decode(value)


DIGEST: Final = 140
"""Characters that a digest may have: the algorithm, a colon and up to 128 hexadecimal digits."""
_BYTEWISE_NAME: Final = String(128).with_variant(String(128, collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[str]:
    return Column("id", String(36), primary_key=True)


def _ref(name: str, target: str, *, ondelete: str = "CASCADE", nullable: bool = False, **more: Any) -> Column[str]:
    return Column(name, String(36), ForeignKey(target, ondelete=ondelete), nullable=nullable, **more)


def _at(name: str, *, nullable: bool = False) -> Column[dt.datetime]:
    return Column(name, Moment, nullable=nullable)


facts = Table(
    "facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Json, nullable=False),
)

users = Table(
    "users",
    metadata,
    _id(),
    Column("username", String(255), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("is_super_admin", Boolean, nullable=False),
    _at("created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    Column("token_sha256", String(64), nullable=False, unique=True),
    _ref("user_id", "users.id", index=True),
    _at("created_at"),
    _at("expires_at"),
    _at("last_used_at"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    _id(),
    _ref("user_id", "users.id", index=True),
    Column("name", String(255), nullable=False),
    Column("token_sha256", String(64), nullable=False, unique=True),
    _at("created_at"),
    _at("expires_at", nullable=True),
    _at("last_used_at", nullable=True),
    _ref("project_id", "projects.id", nullable=True),
    Column("role_ceiling", String(16), nullable=True),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", Text, nullable=True),
    Column("shared_env", Json, nullable=False),
    Column("default_cpu_millis", BigInteger, nullable=True),
    Column("default_memory_bytes", BigInteger, nullable=True),
    _at("created_at"),
)

memberships = Table(
    "memberships",
    metadata,
    Column("project_id", String(36), ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(36), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("role", String(16), nullable=False),
)

services = Table(
    "services",
    metadata,
    _id(),
    _ref("project_id", "projects.id", ondelete="RESTRICT"),
    Column("name", String(255), nullable=False),
    Column("source", Json, nullable=False),
    Column("internal_port", Integer, nullable=False),
    Column("health_path", Text, nullable=False),
    Column("health_timeout_seconds", BigInteger, nullable=False),
    Column("cpu_millis", BigInteger, nullable=True),
    Column("memory_bytes", BigInteger, nullable=True),
    Column("env", Json, nullable=False),
    Column("domains", Json, nullable=False),
    Column("tls_enabled", Boolean, nullable=False),
    Column("autoscale", Json, nullable=True),
    Column("endpoints", Json, nullable=False),
    Column("promoted_deployment_id", String(36), nullable=True),
    _at("created_at"),
    _at("updated_at"),
    UniqueConstraint("project_id", "name"),
)

hostnames = Table(
    "hostnames",
    metadata,
    _id(),
    _ref("service_id", "services.id", index=True),
    Column("hostname", String(253), nullable=False, unique=True),
    Column("status", String(16), nullable=False),
    Column("assigned", Boolean, nullable=False),
    Column("challenge_token", String(64), nullable=False, unique=True),
    _at("verified_at", nullable=True),
    _at("last_check_at", nullable=True),
    Column("last_error", Text, nullable=True),
    _at("created_at"),
)

uploads = Table(
    "uploads",
    metadata,
    _id(),
    _ref("service_id", "services.id", index=True),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("uncompressed_bytes", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    _at("created_at"),
    _at("expires_at"),
)

artifacts = Table(
    "artifacts",
    metadata,
    _id(),
    _ref("service_id", "services.id", index=True),
    Column("digest", String(80), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("source", Json, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("image", Text, nullable=False),
    Column("node_id", String(36), nullable=True),
    Column("size_bytes", BigInteger, nullable=True),
    _at("created_at"),
)

deployments = Table(
    "deployments",
    metadata,
    _id(),
    _ref("service_id", "services.id", index=True),
    Column("number", BigInteger, nullable=False),
    Column("request", Json, nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("reason", Text, nullable=True),
    _ref("artifact_id", "artifacts.id", ondelete="SET NULL", nullable=True),
    Column("node_id", String(36), nullable=True),
    Column("created_by", String(36), nullable=True),
    _at("created_at"),
    _at("phase_at"),
    _at("deadline_at", nullable=True),
    _at("ready_at", nullable=True),
    _at("finished_at", nullable=True),
    _at("cancel_requested_at", nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("lease_owner", String(64), nullable=True),
    _at("lease_until", nullable=True),
    UniqueConstraint("service_id", "number"),
)

deployment_logs = Table(
    "deployment_logs",
    metadata,
    Column("deployment_id", String(36), ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    _at("at"),
    Column("phase", String(32), nullable=False),
    Column("text", Text, nullable=False),
)

replicas = Table(
    "replicas",
    metadata,
    _id(),
    _ref("service_id", "services.id", index=True),
    _ref("deployment_id", "deployments.id", index=True),
    Column("node_id", String(36), ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("index", Integer, nullable=False),
    Column("config", Json, nullable=False),
    Column("wanted", String(16), nullable=False),
    _at("created_at"),
    _at("draining_at", nullable=True),
)

nodes = Table(
    "nodes",
    metadata,
    _id(),
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
    _at("created_at"),
    _at("heard_at", nullable=True),
    _at("removed_at", nullable=True),
)

node_reports = Table(
    "node_reports",
    metadata,
    Column("node_id", String(36), ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True),
    _at("heard_at"),
    Column("applied_digest", String(80), nullable=True),
    Column("converged", Boolean, nullable=False),
    Column("report", LargeBinary, nullable=False),
)

join_tokens = Table(
    "join_tokens",
    metadata,
    _id(),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("name", String(255), nullable=True),
    Column("created_by", String(36), nullable=True),
    _at("created_at"),
    _at("expires_at"),
    _at("used_at", nullable=True),
    Column("node_id", String(36), nullable=True),
)

audit = Table(
    "audit",
    metadata,
    _id(),
    _at("at"),
    Column("actor", Json, nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("object_kind", String(32), nullable=False),
    Column("object_id", String(64), nullable=True),
    Column("project_id", String(36), nullable=True, index=True),
    Column("outcome", String(32), nullable=False),
    Column("details", Json, nullable=False),
    Index(None, "at"),
)

repositories = Table(
    "repositories",
    metadata,
    _id(),
    _ref("service_id", "services.id", unique=True),
    _at("created_at"),
)

manifests = Table(
    "manifests",
    metadata,
    _ref("repository_id", "repositories.id", primary_key=True),
    Column("digest", String(DIGEST), primary_key=True),
    Column("media_type", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("subject", String(DIGEST), nullable=True, index=True),
    Column("artifact_type", String(255), nullable=True),
    Column("annotations", Json, nullable=True),
    _at("created_at"),
)

tags = Table(
    "tags",
    metadata,
    _ref("repository_id", "repositories.id", primary_key=True),
    Column("name", _BYTEWISE_NAME, primary_key=True),
    Column("digest", String(DIGEST), nullable=False, index=True),
    _at("updated_at"),
)

manifest_references = Table(
    "manifest_references",
    metadata,
    Column("repository_id", String(36), primary_key=True),
    Column("manifest", String(DIGEST), primary_key=True),
    Column("digest", String(DIGEST), primary_key=True, index=True),
    ForeignKeyConstraint(
        ["repository_id", "manifest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
    ),
)

repository_blobs = Table(
    "repository_blobs",
    metadata,
    _ref("repository_id", "repositories.id", primary_key=True),
    Column("digest", String(DIGEST), primary_key=True, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    _at("created_at"),
)

blob_uploads = Table(
    "blob_uploads",
    metadata,
    _id(),
    _ref("repository_id", "repositories.id", index=True),
    Column("received_bytes", BigInteger, nullable=False),
    _at("created_at"),
    _at("touched_at"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    _at("until"),
)

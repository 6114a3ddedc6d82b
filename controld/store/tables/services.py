"""Tables of services, from what was uploaded to the replicas that run."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint, false

from controld.store.tables.base import Json, id_column, metadata, moment, reference

services = Table(
    "services",
    metadata,
    id_column(),
    reference("project_id", "projects.id", ondelete="RESTRICT"),
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
    moment("created_at"),
    moment("updated_at"),
    Column("replicas", Integer, nullable=False, server_default="1"),
    Column("scaled_to", Integer, nullable=True),
    Column("placement", Json, nullable=True),
    Column("rolling_deployment_id", String(36), nullable=True),
    Column("scale_problem", Text, nullable=True),
    Column("asleep", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("project_id", "name"),
)

hostnames = Table(
    "hostnames",
    metadata,
    id_column(),
    reference("service_id", "services.id", index=True),
    Column("hostname", String(253), nullable=False, unique=True),
    Column("status", String(16), nullable=False),
    Column("assigned", Boolean, nullable=False),
    Column("challenge_token", String(64), nullable=False, unique=True),
    moment("verified_at", nullable=True),
    moment("last_check_at", nullable=True),
    Column("last_error", Text, nullable=True),
    moment("created_at"),
)

uploads = Table(
    "uploads",
    metadata,
    id_column(),
    reference("service_id", "services.id", index=True),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("uncompressed_bytes", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    moment("created_at"),
    moment("expires_at"),
)

artifacts = Table(
    "artifacts",
    metadata,
    id_column(),
    reference("service_id", "services.id", index=True),
    Column("digest", String(80), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("source", Json, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("image", Text, nullable=False),
    Column("node_id", String(36), nullable=True),
    Column("size_bytes", BigInteger, nullable=True),
    moment("created_at"),
)

deployments = Table(
    "deployments",
    metadata,
    id_column(),
    reference("service_id", "services.id", index=True),
    Column("number", BigInteger, nullable=False),
    Column("request", Json, nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("reason", Text, nullable=True),
    reference("artifact_id", "artifacts.id", ondelete="SET NULL", nullable=True),
    Column("node_id", String(36), nullable=True),
    Column("created_by", String(36), nullable=True),
    moment("created_at"),
    moment("phase_at"),
    moment("deadline_at", nullable=True),
    moment("ready_at", nullable=True),
    moment("finished_at", nullable=True),
    moment("cancel_requested_at", nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("lease_owner", String(64), nullable=True),
    moment("lease_until", nullable=True),
    UniqueConstraint("service_id", "number"),
)

deployment_logs = Table(
    "deployment_logs",
    metadata,
    Column("deployment_id", String(36), ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    moment("at"),
    Column("phase", String(32), nullable=False),
    Column("text", Text, nullable=False),
)

replicas = Table(
    "replicas",
    metadata,
    id_column(),
    reference("service_id", "services.id", index=True),
    reference("deployment_id", "deployments.id", index=True),
    Column("node_id", String(36), ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("index", Integer, nullable=False),
    Column("config", Json, nullable=False),
    Column("wanted", String(16), nullable=False),
    moment("created_at"),
    moment("draining_at", nullable=True),
)

log_places = Table(
    "log_places",
    metadata,
    reference("service_id", "services.id", primary_key=True),
    reference("node_id", "nodes.id", primary_key=True, index=True),
    moment("left_at", index=True),
)

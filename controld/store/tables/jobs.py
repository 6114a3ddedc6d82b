"""Tables of jobs and their runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, String, Table, Text, UniqueConstraint

from controld.store.tables.base import Json, id_column, metadata, moment, reference

jobs = Table(
    "jobs",
    metadata,
    id_column(),
    reference("project_id", "projects.id", ondelete="RESTRICT", index=True),
    Column("name", String(255), nullable=False),
    Column("source", Json, nullable=False),
    Column("command", Json, nullable=True),
    Column("env", Json, nullable=False),
    Column("schedule", Text, nullable=True),
    Column("timezone", String(64), nullable=False),
    Column("max_retries", BigInteger, nullable=False),
    Column("timeout_seconds", BigInteger, nullable=True),
    Column("cpu_millis", BigInteger, nullable=True),
    Column("memory_bytes", BigInteger, nullable=True),
    Column("keep_runs", BigInteger, nullable=True),
    Column("keep_days", BigInteger, nullable=True),
    moment("next_run_at", nullable=True, index=True),
    moment("last_enqueued_at", nullable=True),
    moment("created_at"),
    moment("updated_at"),
)

job_runs = Table(
    "job_runs",
    metadata,
    id_column(),
    reference("job_id", "jobs.id", index=True),
    Column("status", String(16), nullable=False, index=True),
    Column("trigger", String(16), nullable=False),
    moment("due_at", nullable=True),
    Column("attempt", BigInteger, nullable=False),
    Column("exit_code", BigInteger, nullable=True),
    Column("oom_killed", Boolean, nullable=False),
    Column("reason", Text, nullable=True),
    Column("created_by", String(36), nullable=True),
    Column("node_id", String(36), nullable=True, index=True),
    Column("image", Json, nullable=True),
    Column("config", Json, nullable=True),
    Column("begun", Boolean, nullable=False),
    Column("log_cursor", Text, nullable=True),
    moment("created_at"),
    moment("started_at", nullable=True),
    moment("finished_at", nullable=True),
    moment("retry_at", nullable=True),
    moment("deadline_at", nullable=True),
    moment("cancel_requested_at", nullable=True),
    Column("lease_owner", String(64), nullable=True),
    moment("lease_until", nullable=True),
    UniqueConstraint("job_id", "due_at"),
)

job_run_logs = Table(
    "job_run_logs",
    metadata,
    Column("run_id", String(36), ForeignKey("job_runs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    moment("at"),
    Column("phase", String(32), nullable=False),
    Column("text", Text, nullable=False),
)

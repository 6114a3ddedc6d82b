"""Every table of the control database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from controld.store.tables.base import DIGEST, Json, Moment, metadata
from controld.store.tables.certificates import acme_proofs, certificates
from controld.store.tables.consoles import console_tickets, consoles
from controld.store.tables.git import git_credentials
from controld.store.tables.images import (
    blob_uploads,
    manifest_references,
    manifests,
    registry_tokens,
    repositories,
    repository_blobs,
    tags,
)
from controld.store.tables.jobs import job_run_logs, job_runs, jobs
from controld.store.tables.nodes import join_tokens, node_reports, nodes
from controld.store.tables.people import api_tokens, audit, memberships, projects, sessions, users
from controld.store.tables.platform import facts, leases
from controld.store.tables.registries import external_registries
from controld.store.tables.services import (
    artifacts,
    deployment_logs,
    deployments,
    hostnames,
    log_places,
    replicas,
    services,
    uploads,
)

__all__ = [
    "DIGEST",
    "Json",
    "Moment",
    "acme_proofs",
    "api_tokens",
    "artifacts",
    "audit",
    "blob_uploads",
    "certificates",
    "console_tickets",
    "consoles",
    "deployment_logs",
    "deployments",
    "external_registries",
    "facts",
    "git_credentials",
    "hostnames",
    "job_run_logs",
    "job_runs",
    "jobs",
    "join_tokens",
    "leases",
    "log_places",
    "manifest_references",
    "manifests",
    "memberships",
    "metadata",
    "node_reports",
    "nodes",
    "projects",
    "registry_tokens",
    "replicas",
    "repositories",
    "repository_blobs",
    "services",
    "sessions",
    "tags",
    "uploads",
    "users",
]

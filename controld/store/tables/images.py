"""Tables of the hosted image registry."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, String, Table

from controld.store.tables.base import BYTEWISE_NAME, DIGEST, Json, id_column, metadata, moment, reference

repositories = Table(
    "repositories",
    metadata,
    id_column(),
    reference("service_id", "services.id", unique=True),
    moment("created_at"),
)

manifests = Table(
    "manifests",
    metadata,
    reference("repository_id", "repositories.id", primary_key=True),
    Column("digest", String(DIGEST), primary_key=True),
    Column("media_type", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("subject", String(DIGEST), nullable=True, index=True),
    Column("artifact_type", String(255), nullable=True),
    Column("annotations", Json, nullable=True),
    moment("touched_at"),
)

tags = Table(
    "tags",
    metadata,
    reference("repository_id", "repositories.id", primary_key=True),
    Column("name", BYTEWISE_NAME, primary_key=True),
    Column("digest", String(DIGEST), nullable=False, index=True),
    moment("updated_at"),
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
    reference("repository_id", "repositories.id", primary_key=True),
    Column("digest", String(DIGEST), primary_key=True, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    moment("created_at"),
)

registry_tokens = Table(
    "registry_tokens",
    metadata,
    Column("token_sha256", String(64), primary_key=True),
    Column("credential_sha256", String(64), nullable=False),
    Column("scopes", Json, nullable=False),
    moment("expires_at", index=True),
)

blob_uploads = Table(
    "blob_uploads",
    metadata,
    id_column(),
    reference("repository_id", "repositories.id", index=True),
    Column("received_bytes", BigInteger, nullable=False),
    moment("created_at"),
    moment("touched_at"),
)

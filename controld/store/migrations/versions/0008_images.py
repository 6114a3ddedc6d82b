"""What the schema gains for the hosted registry: tokens of a few minutes, and when a manifest was last of use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "registry_tokens",
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("credential_sha256", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_registry_tokens")),
    )
    op.create_index(op.f("ix_registry_tokens_expires_at"), "registry_tokens", ["expires_at"])
    op.execute("ALTER TABLE manifests RENAME COLUMN created_at TO touched_at")

"""What the schema gains for certificates and domains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "certificates",
        sa.Column("hostname", sa.String(length=253), nullable=False),
        sa.Column("chain_pem", sa.Text(), nullable=True),
        sa.Column("key_ref", sa.String(length=64), nullable=True),
        sa.Column("not_before_at", sa.BigInteger(), nullable=True),
        sa.Column("not_after_at", sa.BigInteger(), nullable=True),
        sa.Column("issued_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_try_at", sa.BigInteger(), nullable=True),
        sa.Column("next_try_at", sa.BigInteger(), nullable=True),
        sa.Column("barred_until_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hostname", name=op.f("pk_certificates")),
    )
    op.create_table(
        "acme_proofs",
        sa.Column("token", sa.String(length=255), nullable=False),
        sa.Column("hostname", sa.String(length=253), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_acme_proofs")),
    )
    op.create_index(op.f("ix_acme_proofs_hostname"), "acme_proofs", ["hostname"])

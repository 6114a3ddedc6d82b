"""What the schema gains so that logs are found where their containers were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "log_places",
        sa.Column("service_id", sa.String(length=36), nullable=False),
        sa.Column("node_id", sa.String(length=36), nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_log_places_service_id_services"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["node_id"], ["nodes.id"], name=op.f("fk_log_places_node_id_nodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("service_id", "node_id", name=op.f("pk_log_places")),
    )
    op.create_index(op.f("ix_log_places_node_id"), "log_places", ["node_id"])
    op.create_index(op.f("ix_log_places_left_at"), "log_places", ["left_at"])

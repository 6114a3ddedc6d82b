"""What the schema gains for nodes, labels and where services go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the change: services gain how many replicas and where, nodes the port for what other nodes send them."""
    op.add_column("services", sa.Column("replicas", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("services", sa.Column("scaled_to", sa.Integer(), nullable=True))
    op.add_column("services", sa.Column("placement", sa.Text(), nullable=True))
    op.add_column("services", sa.Column("rolling_deployment_id", sa.String(length=36), nullable=True))
    op.add_column("nodes", sa.Column("peer_port", sa.Integer(), nullable=True))

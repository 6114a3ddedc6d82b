"""What the schema gains for services that scale to nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the change."""
    op.add_column("services", sa.Column("asleep", sa.Boolean(), nullable=False, server_default=sa.false()))

"""What the schema gains for services that scale by load."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the change."""
    op.add_column("services", sa.Column("scale_problem", sa.Text(), nullable=True))

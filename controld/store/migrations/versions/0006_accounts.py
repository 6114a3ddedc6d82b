"""What the audit gains: who acted as columns of their own, and the orders in which it is searched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the change."""
    op.add_column("audit", sa.Column("actor_id", sa.String(length=36), nullable=True))
    op.add_column("audit", sa.Column("actor_name", sa.String(length=255), nullable=True))
    is_postgres = op.get_bind().dialect.name == "postgresql"
    part = "(actor::json ->> '{}')" if is_postgres else "json_extract(actor, '$.{}')"
    op.execute(f"UPDATE audit SET actor_id = {part.format('id')}, actor_name = {part.format('name')}")  # noqa: S608
    op.drop_index(op.f("ix_audit_project_id"), table_name="audit")
    for column in ("project_id", "object_id", "actor_id", "actor_name"):
        op.create_index(op.f(f"ix_audit_{column}_at"), "audit", [column, "at"], unique=False)

"""Services with their projects, as deployments need them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update

from controld.core.ports import Transaction
from controld.model.launch import Launch
from controld.rules.replica_config import effective_limits, merge_env, wanted_count
from controld.store.tables import projects, services
from wire.spec import Health

_EXTERNAL = "external_image"
_SELECT = select(
    services,
    projects.c.name.label("project_name"),
    projects.c.shared_env,
    projects.c.default_cpu_millis,
    projects.c.default_memory_bytes,
).join(projects, projects.c.id == services.c.project_id)


class LaunchStore:
    """Reads services as they would be launched now, and moves their pointer to what is promoted."""

    async def find(self, tx: Transaction, service_id: str) -> Launch | None:
        """The service, or None."""
        row = (await tx.execute(_SELECT.where(services.c.id == service_id))).first()
        return None if row is None else _to_record(row)

    async def list_promoted(self, tx: Transaction) -> list[Launch]:
        """Every service that has a promoted deployment."""
        rows = await tx.execute(_SELECT.where(services.c.promoted_deployment_id.is_not(None)).order_by(services.c.id))
        return [_to_record(row) for row in rows]

    async def promote(self, tx: Transaction, service_id: str, deployment_id: str | None) -> None:
        """Let the service's hosts lead to this deployment, or to none."""
        await tx.execute(
            update(services).where(services.c.id == service_id).values(promoted_deployment_id=deployment_id)
        )
        tx.announce("service", service_id)


def _to_record(row: Row[Any]) -> Launch:
    source = row.source
    return Launch(
        service_id=row.id,
        service=row.name,
        project_id=row.project_id,
        project=row.project_name,
        source_kind=source["type"],
        image=(source.get("image") or source.get("image_ref") or None) if source["type"] == _EXTERNAL else None,
        port=row.internal_port,
        health=Health(path=row.health_path, timeout_seconds=row.health_timeout_seconds),
        limits=effective_limits((row.cpu_millis, row.memory_bytes), (row.default_cpu_millis, row.default_memory_bytes)),
        env=merge_env(row.shared_env, row.env),
        replicas=wanted_count(row.autoscale),
        promoted_deployment_id=row.promoted_deployment_id,
    )

"""External registries as rows, without what signs in to them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from controld.core.ports import Transaction
from controld.model.external_registry import ExternalRegistry, RegistryAuth
from controld.store.tables import external_registries, jobs, services


class ExternalRegistryStore:
    """Reads and writes what may be seen of external registries; each change announces ("external_registry", id)."""

    async def add(self, tx: Transaction, registry: ExternalRegistry) -> None:
        """Keep a new registry."""
        await tx.execute(
            insert(external_registries).values(
                id=registry.id, project_id=registry.project_id, created_at=registry.created_at, **_values(registry)
            )
        )
        tx.announce("external_registry", registry.id)

    async def update(self, tx: Transaction, registry: ExternalRegistry) -> None:
        """Replace all of a registry but its id, its project and when it was made."""
        await tx.execute(
            update(external_registries).where(external_registries.c.id == registry.id).values(**_values(registry))
        )
        tx.announce("external_registry", registry.id)

    async def find(self, tx: Transaction, project_id: str, *, registry_id: str) -> ExternalRegistry | None:
        """The project's registry with that id."""
        wanted = select(external_registries).where(
            external_registries.c.id == registry_id, external_registries.c.project_id == project_id
        )
        row = (await tx.execute(wanted)).one_or_none()
        return None if row is None else _to_record(row)

    async def list_users(self, tx: Transaction, registry: ExternalRegistry) -> list[str]:
        """What pulls from it, by kind and name."""
        found = []
        for kind, table in (("service", services), ("job", jobs)):
            wanted = select(table.c.name, table.c.source).where(table.c.project_id == registry.project_id)
            rows = await tx.execute(wanted.order_by(table.c.name))
            found += [f"{kind} {row.name}" for row in rows if row.source.get("registry_id") == registry.id]
        return found

    async def delete(self, tx: Transaction, registry_id: str) -> None:
        """Forget it."""
        await tx.execute(delete(external_registries).where(external_registries.c.id == registry_id))
        tx.announce("external_registry", registry_id)

    async def list(self, tx: Transaction, project_id: str) -> list[ExternalRegistry]:
        """The project's registries by name."""
        wanted = select(external_registries).where(external_registries.c.project_id == project_id)
        return [_to_record(row) for row in await tx.execute(wanted.order_by(external_registries.c.name))]


def _values(registry: ExternalRegistry) -> dict[str, Any]:
    return {
        "name": registry.name,
        "endpoint": registry.endpoint,
        "auth_kind": registry.auth_kind.value,
        "credential_ref": registry.credential_ref,
        "updated_at": registry.updated_at,
    }


def _to_record(row: Row[Any]) -> ExternalRegistry:
    return ExternalRegistry(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        endpoint=row.endpoint,
        auth_kind=RegistryAuth(row.auth_kind),
        credential_ref=row.credential_ref,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )

"""Services with their projects, as deployments need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, case, select, update

from controld.core.ports import Transaction
from controld.model.launch import Launch
from controld.model.placement import ANYWHERE, Placement
from controld.model.service import AutoscalePolicy, GitSource
from controld.rules.replica_config import effective_limits, merge_env, wanted_count
from controld.store.sources import read_source
from controld.store.tables import external_registries, projects, services
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
        return None if row is None else _to_record(row, await _read_endpoints(tx, [row]))

    async def list_promoted(self, tx: Transaction) -> list[Launch]:
        """Every service that has a promoted deployment."""
        wanted = _SELECT.where(services.c.promoted_deployment_id.is_not(None)).order_by(services.c.id)
        rows = (await tx.execute(wanted)).all()
        endpoints = await _read_endpoints(tx, rows)
        return [_to_record(row, endpoints) for row in rows]

    async def list_scaled(self, tx: Transaction) -> list[Launch]:
        """Every service with a promoted deployment and a policy that says how many replicas it has."""
        wanted = _SELECT.where(services.c.promoted_deployment_id.is_not(None), services.c.autoscale.is_not(None))
        rows = (await tx.execute(wanted.order_by(services.c.id))).all()
        endpoints = await _read_endpoints(tx, rows)
        return [_to_record(row, endpoints) for row in rows]

    async def scale(self, tx: Transaction, service_id: str, *, count: int, problem: str | None) -> None:
        """Note how many replicas the service's policy calls for, and why there are not more; with none it sleeps."""
        await tx.execute(
            update(services)
            .where(services.c.id == service_id)
            .values(scaled_to=count, scale_problem=problem, **({} if count else {"asleep": True}))
        )
        tx.announce("service", service_id)

    async def list_waking(self, tx: Transaction) -> list[Launch]:
        """Every promoted service that is asleep and should run."""
        wanted = _SELECT.where(services.c.promoted_deployment_id.is_not(None), services.c.asleep.is_(True))
        rows = (await tx.execute(wanted.order_by(services.c.id))).all()
        endpoints = await _read_endpoints(tx, rows)
        return [launch for row in rows if (launch := _to_record(row, endpoints)).replicas]

    async def end_sleep(self, tx: Transaction, service_id: str) -> None:
        """Note that a replica of the service takes requests."""
        await tx.execute(update(services).where(services.c.id == service_id).values(asleep=False))
        tx.announce("service", service_id)

    async def promote(self, tx: Transaction, service_id: str, deployment_id: str | None) -> None:
        """Let the service's hosts lead to this deployment alone, or to none."""
        await tx.execute(
            update(services)
            .where(services.c.id == service_id)
            .values(
                promoted_deployment_id=deployment_id,
                rolling_deployment_id=None,
                # A release wakes the service: its replica was started to be looked at, and stays.
                scaled_to=case((services.c.scaled_to == 0, 1), else_=services.c.scaled_to),
            )
        )
        tx.announce("service", service_id)

    async def roll(self, tx: Transaction, service_id: str, deployment_id: str | None) -> None:
        """Let the service's hosts lead to this deployment beside the promoted one, or to that alone again."""
        await tx.execute(
            update(services).where(services.c.id == service_id).values(rolling_deployment_id=deployment_id)
        )
        tx.announce("service", service_id)


async def _read_endpoints(tx: Transaction, rows: Sequence[Row[Any]]) -> Mapping[str, str]:
    """The endpoint of each registry that the rows' sources name."""
    ids = {registry_id for row in rows if (registry_id := row.source.get("registry_id"))}
    if not ids:
        return {}
    wanted = select(external_registries.c.id, external_registries.c.endpoint).where(external_registries.c.id.in_(ids))
    return {row.id: row.endpoint for row in await tx.execute(wanted)}


def _find_image(source: Mapping[str, Any], endpoints: Mapping[str, str]) -> str | None:
    """The full reference that a source names; None for the other kinds."""
    if source["type"] != _EXTERNAL:
        return None
    endpoint = endpoints.get(source.get("registry_id") or "")
    return source.get("image") or (None if endpoint is None else f"{endpoint}/{source['image_ref']}")


def _to_record(row: Row[Any], endpoints: Mapping[str, str]) -> Launch:
    source, read = row.source, read_source(row.source)
    policy = None if row.autoscale is None else msgspec.convert(row.autoscale, AutoscalePolicy)
    return Launch(
        service_id=row.id,
        service=row.name,
        project_id=row.project_id,
        project=row.project_name,
        source_kind=source["type"],
        image=_find_image(source, endpoints),
        registry_id=source.get("registry_id"),
        image_ref=source.get("image_ref"),
        git=read if isinstance(read, GitSource) else None,
        port=row.internal_port,
        health=Health(path=row.health_path, timeout_seconds=row.health_timeout_seconds),
        limits=effective_limits((row.cpu_millis, row.memory_bytes), (row.default_cpu_millis, row.default_memory_bytes)),
        env=merge_env(row.shared_env, row.env),
        replicas=wanted_count(row.replicas, policy, scaled_to=row.scaled_to),
        promoted_deployment_id=row.promoted_deployment_id,
        placement=ANYWHERE if row.placement is None else msgspec.convert(row.placement, Placement),
        rolling_deployment_id=row.rolling_deployment_id,
        autoscale=policy,
        is_asleep=row.asleep,
        scale_problem=row.scale_problem,
    )

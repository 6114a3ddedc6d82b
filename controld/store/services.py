"""Services in the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import Row, delete, select, update

from controld.core.ports import Transaction
from controld.model.placement import ANYWHERE, Placement
from controld.model.service import (
    AutoscalePolicy,
    HealthCheck,
    ResourceLimits,
    Service,
    ServiceEndpoint,
)
from controld.rules.endpoints import list_public_ports
from controld.store.sources import read_source, render_source
from controld.store.tables import hostnames, replicas, services

_assigned = (
    select(hostnames.c.hostname)
    .where(hostnames.c.service_id == services.c.id, hostnames.c.assigned.is_(True))
    .limit(1)
    .scalar_subquery()
    .label("assigned_hostname")
)


class ServiceStore:
    """Reads and writes services; each change announces ("service", id)."""

    async def add(self, tx: Transaction, service: Service) -> None:
        """Keep a new service."""
        await tx.execute(services.insert().values(id=service.id, created_at=service.created_at, **_values(service)))
        tx.announce("service", service.id)

    async def update(self, tx: Transaction, service: Service) -> None:
        """Replace what is wanted of a service; what has been promoted stays."""
        values = {**_values(service), "scale_problem": None}
        await tx.execute(update(services).where(services.c.id == service.id).values(values))
        tx.announce("service", service.id)

    async def get(self, tx: Transaction, service_id: str) -> Service | None:
        """The service."""
        return await self._one(tx, services.c.id == service_id)

    async def find(self, tx: Transaction, project_id: str, *, name: str) -> Service | None:
        """The project's service of that name."""
        return await self._one(tx, (services.c.project_id == project_id) & (services.c.name == name))

    async def list(self, tx: Transaction, *, projects: Collection[str] | None = None) -> list[Service]:
        """Services by name; with `projects`, those in these."""
        statement = select(services, _assigned).order_by(services.c.name, services.c.id)
        if projects is not None:
            statement = statement.where(services.c.project_id.in_(projects))
        return [_service(row) for row in await tx.execute(statement)]

    async def list_public_ports(self, tx: Transaction, *, besides: str | None) -> frozenset[int]:
        """The public ports of all services but this one."""
        statement = select(services.c.endpoints)
        if besides is not None:
            statement = statement.where(services.c.id != besides)
        return frozenset(port for found in (await tx.execute(statement)).scalars() for port in _read_ports(found))

    async def delete(self, tx: Transaction, service_id: str) -> None:
        """Remove the service with its replicas, deployments, artifacts and hostnames; announces ("node", id) for every
        node that ran it.
        """
        nodes = (
            await tx.execute(select(replicas.c.node_id).where(replicas.c.service_id == service_id).distinct())
        ).scalars()
        tx.announce("node", *nodes)
        await tx.execute(delete(services).where(services.c.id == service_id))
        tx.announce("service", service_id)
        tx.announce("challenge", service_id)

    async def _one(self, tx: Transaction, condition: Any) -> Service | None:
        row = (await tx.execute(select(services, _assigned).where(condition))).one_or_none()
        return None if row is None else _service(row)


def _read_ports(endpoints: Any) -> Iterable[int]:
    return list_public_ports(msgspec.convert(endpoints, tuple[ServiceEndpoint, ...]))


def _values(service: Service) -> dict[str, Any]:
    limits = service.resource_limits
    return {
        "project_id": service.project_id,
        "name": service.name,
        "source": render_source(service.source),
        "internal_port": service.internal_port,
        "health_path": service.health_check.path,
        "health_timeout_seconds": service.health_check.timeout_seconds,
        "cpu_millis": None if limits is None else limits.cpu_millis,
        "memory_bytes": None if limits is None else limits.memory_bytes,
        "env": service.env,
        "domains": service.domains,
        "tls_enabled": service.tls_enabled,
        "autoscale": service.autoscale,
        "endpoints": service.endpoints,
        "replicas": service.replicas,
        "placement": None if service.placement == ANYWHERE else msgspec.to_builtins(service.placement),
        "scaled_to": service.scaled_to,
        "updated_at": service.updated_at,
    }


def _service(row: Row[Any]) -> Service:
    limits = None
    if row.cpu_millis is not None and row.memory_bytes is not None:
        limits = ResourceLimits(cpu_millis=row.cpu_millis, memory_bytes=row.memory_bytes)
    return Service(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        domains=tuple(row.domains),
        source=read_source(row.source),
        internal_port=row.internal_port,
        health_check=HealthCheck(path=row.health_path, timeout_seconds=row.health_timeout_seconds),
        resource_limits=limits,
        env=tuple((name, value) for name, value in row.env),
        tls_enabled=row.tls_enabled,
        autoscale=None if row.autoscale is None else msgspec.convert(row.autoscale, AutoscalePolicy),
        endpoints=msgspec.convert(row.endpoints, tuple[ServiceEndpoint, ...]),
        promoted_deployment_id=row.promoted_deployment_id,
        assigned_hostname=row.assigned_hostname,
        created_at=row.created_at,
        updated_at=row.updated_at,
        replicas=row.replicas,
        placement=ANYWHERE if row.placement is None else msgspec.convert(row.placement, Placement),
        scaled_to=row.scaled_to,
    )

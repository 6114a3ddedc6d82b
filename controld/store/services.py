"""Services and their hostnames in the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Row, delete, select, update

from controld.core.ports import Transaction
from controld.model.hostname import Hostname, HostnameStatus
from controld.model.service import (
    AutoscalePolicy,
    ExternalImageSource,
    GitSource,
    HealthCheck,
    ResourceLimits,
    Service,
    ServiceEndpoint,
    ServiceSource,
    UploadSource,
)
from controld.store.tables import hostnames, replicas, services

_SOURCES: dict[str, type[ServiceSource]] = {
    "git": GitSource,
    "external_image": ExternalImageSource,
    "upload": UploadSource,
}
_SOURCE_NAMES = {kind: name for name, kind in _SOURCES.items()}

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
        await tx.execute(update(services).where(services.c.id == service.id).values(**_values(service)))
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

    async def _one(self, tx: Transaction, condition: Any) -> Service | None:
        row = (await tx.execute(select(services, _assigned).where(condition))).one_or_none()
        return None if row is None else _service(row)


class HostnameStore:
    """Reads and writes hostnames; each change announces ("service", the owner's id)."""

    async def add(self, tx: Transaction, hostname: Hostname) -> None:
        """Keep a new hostname."""
        await tx.execute(
            hostnames.insert().values(
                id=hostname.id,
                service_id=hostname.service_id,
                hostname=hostname.hostname,
                status=hostname.status.value,
                assigned=hostname.assigned,
                challenge_token=hostname.challenge_token,
                verified_at=hostname.verified_at,
                last_check_at=hostname.last_check_at,
                last_error=hostname.last_error,
                created_at=hostname.created_at,
            )
        )
        tx.announce("service", hostname.service_id)

    async def find(self, tx: Transaction, name: str) -> Hostname | None:
        """The hostname, whoever's it is."""
        row = (await tx.execute(select(hostnames).where(hostnames.c.hostname == name))).one_or_none()
        return None if row is None else _hostname(row)

    async def list(self, tx: Transaction, service_id: str) -> list[Hostname]:
        """The service's hostnames, oldest first."""
        statement = (
            select(hostnames)
            .where(hostnames.c.service_id == service_id)
            .order_by(hostnames.c.created_at, hostnames.c.id)
        )
        return [_hostname(row) for row in await tx.execute(statement)]


def _values(service: Service) -> dict[str, Any]:
    limits = service.resource_limits
    return {
        "project_id": service.project_id,
        "name": service.name,
        "source": {"type": _SOURCE_NAMES[type(service.source)], **msgspec.to_builtins(service.source)},
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
        source=msgspec.convert(row.source, _SOURCES[row.source["type"]]),
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
    )


def _hostname(row: Row[Any]) -> Hostname:
    return Hostname(
        id=row.id,
        service_id=row.service_id,
        hostname=row.hostname,
        status=HostnameStatus(row.status),
        assigned=row.assigned,
        challenge_token=row.challenge_token,
        verified_at=row.verified_at,
        last_check_at=row.last_check_at,
        last_error=row.last_error,
        created_at=row.created_at,
    )

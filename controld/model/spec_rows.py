"""The facts that a node spec is made of."""

from __future__ import annotations

from dataclasses import dataclass

from wire.spec import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRouting:
    """What decides where a service's requests go."""

    service_id: str
    service: str
    promoted_deployment_id: str | None
    hosts: tuple[str, ...]
    """Verified host names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecRows:
    """Everything that the database says of one node's work."""

    node_id: str
    replicas: tuple[Replica, ...]
    services: tuple[ServiceRouting, ...]
    """Of each service with a replica here."""

"""What one node should run, from the facts in the database."""

from __future__ import annotations

from collections.abc import Iterable

from controld.model.spec_rows import ServiceRouting, SpecRows
from wire.spec import Challenge, NodeSpec, Replica, Route, Wanted


def render_node_spec(
    rows: SpecRows, *, challenges: tuple[Challenge, ...] = (), control_domain: str | None = None
) -> NodeSpec:
    """The spec; equal facts in whatever order give an equal spec, and so an equal digest."""
    replicas = tuple(sorted(rows.replicas, key=lambda each: (each.service_id, each.deployment_id, each.index, each.id)))
    routes = (_route(service, replicas) for service in sorted(rows.services, key=lambda each: each.service_id))
    return NodeSpec(
        node_id=rows.node_id,
        replicas=replicas,
        routes=tuple(route for route in routes if route is not None),
        challenges=tuple(sorted(challenges, key=lambda each: (each.path, each.host or ""))),
        control_domain=control_domain,
    )


def _route(service: ServiceRouting, replicas: Iterable[Replica]) -> Route | None:
    """Where the service's hosts lead; None while nothing is promoted here, or no host is verified."""
    serving = tuple(
        replica.id
        for replica in replicas
        if replica.service_id == service.service_id
        and replica.deployment_id == service.promoted_deployment_id
        and replica.wanted is Wanted.RUNNING
    )
    if not serving or not service.hosts:
        return None
    return Route(
        key=f"svc-{service.service_id}",
        service_id=service.service_id,
        service=service.service,
        hosts=tuple(sorted(service.hosts)),
        replicas=serving,
    )

"""What one node should run, from the facts in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from controld.model.spec_rows import (
    ControlLead,
    FleetRouting,
    HeldCertificate,
    Member,
    ServiceRouting,
    SpecCommon,
    SpecRows,
)
from wire.spec import Certificate, NodeSpec, Peer, Replica, Route, Wanted

NOTHING_COMMON: Final = SpecCommon()
NOWHERE: Final = ControlLead()


def render_node_spec(
    rows: SpecRows,
    *,
    common: SpecCommon = NOTHING_COMMON,
    keys: Mapping[str, str] | None = None,
    control_domain: str | None = None,
    control: ControlLead = NOWHERE,
    allow_private_registries: bool = False,
) -> NodeSpec:
    """The spec; equal facts in whatever order give an equal spec, and so an equal digest.

    `keys` are private keys by ref; a certificate whose key is not among them is given without both, so that the node
    keeps what it has.
    """
    replicas = tuple(sorted(rows.replicas, key=lambda each: (each.service_id, each.deployment_id, each.index, each.id)))
    routes = (_route(service, replicas, rows) for service in sorted(rows.services, key=lambda each: each.service_id))
    return NodeSpec(
        node_id=rows.node_id,
        replicas=replicas,
        job_runs=tuple(sorted(rows.job_runs, key=lambda each: each.key)),
        routes=tuple(route for route in routes if route is not None),
        challenges=tuple(
            sorted(
                {*common.challenges, *(each for service in rows.services for each in service.challenges)},
                key=lambda each: (each.path, each.host or ""),
            )
        ),
        control_domain=control_domain,
        control_address=control.address,
        control_peers=control.peers,
        control_shared=control.shared,
        allow_private_registries=allow_private_registries,
        peers=tuple(sorted(rows.admitted)),
        certificates=tuple(
            _certificate(held, keys or {}) for held in sorted(list_certificates(rows, common, control), key=_host_of)
        ),
    )


def lead_to_control(rows: SpecRows, members: Iterable[Member], *, locate: Callable[[str], str | None]) -> ControlLead:
    """How a node's ingress reaches controld: itself where `locate` knows an address, else through a node that does."""
    address = locate(rows.address)
    by_id = {member.id: member for member in members}
    own = by_id.pop(rows.node_id, None)
    if own is None:
        return ControlLead(address=address)
    near = [member for member in by_id.values() if locate(member.address) is not None]
    if address is not None:
        far = any(member.leads for member in by_id.values() if member not in near)
        return ControlLead(address=address, shared=far)
    if not own.leads:
        return NOWHERE
    peers = tuple(Peer(node_id=each.id, address=each.address, port=each.port, weight=1) for each in near)
    return ControlLead(peers=peers)


def list_certificates(rows: SpecRows, common: SpecCommon, control: ControlLead) -> list[HeldCertificate]:
    """The certificates of the hosts that the node leads anywhere."""
    own = common.control_certificate if control.address is not None or control.peers else None
    return [*(each for service in rows.services for each in service.certificates), *(() if own is None else (own,))]


def _host_of(held: HeldCertificate) -> str:
    return held.host


def _certificate(held: HeldCertificate, keys: Mapping[str, str]) -> Certificate:
    key_pem = keys.get(held.key_ref)
    if key_pem is None:
        return Certificate(host=held.host)
    return Certificate(host=held.host, chain_pem=held.chain_pem, key_pem=key_pem)


def add_routing(rows: SpecRows, routing: FleetRouting, members: Iterable[Member]) -> SpecRows:
    """The rows with what other nodes have of the services that this node leads to.

    A node that is no member speaks to no other; one that leads has every service. What sleeps may be woken from either.
    """
    by_id = {member.id: member for member in members}
    own = by_id.get(rows.node_id)
    if own is None:
        here = {service.service_id for service in rows.services}
        asleep = (each for each in routing.services if each.is_asleep and each.service_id not in here)
        return replace(rows, services=(*rows.services, *asleep))
    peers = {
        service_id: tuple(
            Peer(node_id=node_id, address=by_id[node_id].address, port=by_id[node_id].port, weight=count)
            for node_id, count in sorted(placed.items())
            if node_id in by_id and node_id != rows.node_id
        )
        for service_id, placed in routing.replicas.items()
    }
    others = tuple(
        member.id for member in by_id.values() if member is not own and (member.leads or _runs_any(routing, member.id))
    )
    services = routing.services if own.leads else rows.services
    return replace(rows, services=services, peers=peers, shares=bool(others), admitted=others)


def _runs_any(routing: FleetRouting, node_id: str) -> bool:
    return any(node_id in placed for placed in routing.replicas.values())


def _route(service: ServiceRouting, replicas: Iterable[Replica], rows: SpecRows) -> Route | None:
    """Where the service's hosts lead; None while nothing leads to it, or nothing of it runs here or elsewhere and is
    to be woken neither.
    """
    serving = tuple(
        replica.id
        for replica in replicas
        if replica.service_id == service.service_id
        and replica.deployment_id in {service.promoted_deployment_id, service.rolling_deployment_id}
        and replica.wanted is Wanted.RUNNING
    )
    peers = rows.peers.get(service.service_id, ())
    asleep = service.is_asleep and service.promoted_deployment_id is not None and bool(service.hosts)
    if not (serving or peers or asleep) or not (service.hosts or service.tcp):
        return None
    return Route(
        key=f"svc-{service.service_id}",
        service_id=service.service_id,
        service=service.service,
        hosts=tuple(sorted(service.hosts)),
        replicas=serving,
        peers=peers,
        shared=rows.shares and any(replica.service_id == service.service_id for replica in replicas),
        tcp=service.tcp,
        asleep=asleep,
    )

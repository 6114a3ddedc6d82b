"""The rows that a node spec is made of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any, Final

import msgspec
from sqlalchemy import Row, and_, func, or_, select

from controld.core.ports import Transaction
from controld.model.node import NodeState
from controld.model.service import ServiceEndpoint
from controld.model.spec_rows import (
    FleetRouting,
    HeldCertificate,
    IngressRoute,
    Member,
    ServiceRouting,
    SpecCommon,
    SpecRows,
)
from controld.rules.endpoints import list_tcp_ports
from controld.store.job_runs import is_on_node, to_node_run
from controld.store.tables import acme_proofs, certificates, hostnames, job_runs, nodes, replicas, services
from wire.spec import Challenge, Replica, Wanted

_MEMBERS = [state.value for state in (NodeState.READY, NodeState.SUSPECT, NodeState.DRAINING, NodeState.DRAINED)]
"""A lost node is led to by nobody, and hears of the fleet when it is back."""
_HELD: Final = select(certificates.c.hostname, certificates.c.chain_pem, certificates.c.key_ref).where(
    certificates.c.chain_pem.is_not(None), certificates.c.key_ref.is_not(None)
)


class NodeSpecStore:
    """Reads what one node should run."""

    async def read(self, tx: Transaction, node_id: str) -> SpecRows:
        """The node's replicas, and the routing of their services."""
        here = select(replicas.c.service_id).where(replicas.c.node_id == node_id)
        found = await tx.execute(
            select(replicas.c.id, replicas.c.config, replicas.c.wanted).where(replicas.c.node_id == node_id)
        )
        runs = await tx.execute(select(job_runs).where(is_on_node(node_id)))
        return SpecRows(
            node_id=node_id,
            replicas=tuple(
                msgspec.convert({**row.config, "id": row.id, "wanted": Wanted(row.wanted)}, Replica) for row in found
            ),
            services=await self._read_services(tx, services.c.id.in_(here)),
            job_runs=tuple(to_node_run(row) for row in runs),
            address=(await tx.execute(select(nodes.c.address).where(nodes.c.id == node_id))).scalar_one_or_none() or "",
        )

    async def read_routing(self, tx: Transaction) -> FleetRouting:
        """Where the requests of every service go."""
        counted = await tx.execute(
            select(replicas.c.service_id, replicas.c.node_id, func.count().label("replicas"))
            .join(services, services.c.id == replicas.c.service_id)
            .where(_takes_traffic())
            .group_by(replicas.c.service_id, replicas.c.node_id)
        )
        placed: dict[str, dict[str, int]] = defaultdict(dict)
        for row in counted:
            placed[row.service_id][row.node_id] = row.replicas
        return FleetRouting(
            services=await self._read_services(tx, services.c.promoted_deployment_id.is_not(None)),
            replicas=dict(placed),
        )

    async def list_members(self, tx: Transaction, *, label: tuple[str, str] | None) -> tuple[Member, ...]:
        """The nodes that speak with each other's ingress, by id; with `label`, those that carry it lead."""
        found = await tx.execute(
            select(nodes.c.id, nodes.c.address, nodes.c.peer_port, nodes.c.labels)
            .where(nodes.c.peer_port.is_not(None), nodes.c.state.in_(_MEMBERS))
            .order_by(nodes.c.id)
        )
        return tuple(
            Member(
                id=row.id,
                address=row.address,
                port=row.peer_port,
                leads=label is None or row.labels.get(label[0]) == label[1],
            )
            for row in found
        )

    async def _read_services(self, tx: Transaction, where: Any) -> tuple[ServiceRouting, ...]:
        hosts: dict[str, list[str]] = defaultdict(list)
        proofs: dict[str, list[Challenge]] = defaultdict(list)
        verified = await tx.execute(
            select(hostnames.c.service_id, hostnames.c.hostname, hostnames.c.challenge_token, hostnames.c.assigned)
            .join(services, services.c.id == hostnames.c.service_id)
            .where(hostnames.c.status == "verified", where)
        )
        for row in verified:
            hosts[row.service_id].append(row.hostname)
            if not row.assigned:
                proofs[row.service_id].append(_proof(row))
        routed = await tx.execute(
            select(
                services.c.id,
                services.c.name,
                services.c.promoted_deployment_id,
                services.c.rolling_deployment_id,
                services.c.endpoints,
                services.c.asleep,
            ).where(where)
        )
        held: dict[str, list[HeldCertificate]] = defaultdict(list)
        secured = await tx.execute(
            _HELD.add_columns(hostnames.c.service_id)
            .join(hostnames, hostnames.c.hostname == certificates.c.hostname)
            .join(services, services.c.id == hostnames.c.service_id)
            .where(hostnames.c.status == "verified", or_(hostnames.c.assigned, services.c.tls_enabled), where)
        )
        for row in secured:
            held[row.service_id].append(_held(row))
        return tuple(
            ServiceRouting(
                service_id=row.id,
                service=row.name,
                promoted_deployment_id=row.promoted_deployment_id,
                hosts=tuple(hosts[row.id]),
                rolling_deployment_id=row.rolling_deployment_id,
                challenges=tuple(proofs[row.id]),
                certificates=tuple(held[row.id]),
                tcp=list_tcp_ports(msgspec.convert(row.endpoints, tuple[ServiceEndpoint, ...])),
                is_asleep=row.asleep,
            )
            for row in routed
        )

    async def read_common(self, tx: Transaction, *, control_domain: str | None) -> SpecCommon:
        """What every node is told: the proofs of hostnames that are not verified yet, and those for authorities."""
        waiting = await tx.execute(
            select(hostnames.c.hostname, hostnames.c.challenge_token).where(hostnames.c.status != "verified")
        )
        asked = await tx.execute(select(acme_proofs.c.token, acme_proofs.c.body))
        own = await tx.execute(_HELD.where(certificates.c.hostname == control_domain))
        return SpecCommon(
            challenges=(
                *(_proof(row) for row in waiting),
                *(Challenge(path=f"/.well-known/acme-challenge/{row.token}", body=row.body) for row in asked),
            ),
            control_certificate=next((_held(row) for row in own), None),
        )

    async def list_routes(self, tx: Transaction) -> list[IngressRoute]:
        """Every service with a verified hostname and a running replica that takes its traffic, by name."""
        serving = await tx.execute(
            select(services.c.id, services.c.name, services.c.tls_enabled, replicas.c.node_id)
            .join(replicas, replicas.c.service_id == services.c.id)
            .join(nodes, nodes.c.id == replicas.c.node_id)
            .where(_takes_traffic(), nodes.c.state != NodeState.REMOVED.value)
            .distinct()
            .order_by(services.c.name, services.c.id, replicas.c.node_id)
        )
        hosts: dict[str, list[str]] = defaultdict(list)
        verified = select(hostnames.c.service_id, hostnames.c.hostname).where(hostnames.c.status == "verified")
        for row in await tx.execute(verified.order_by(hostnames.c.hostname)):
            hosts[row.service_id].append(row.hostname)
        found: dict[str, IngressRoute] = {}
        for row in serving:
            known = found.get(row.id)
            if known is not None:
                found[row.id] = replace(known, node_ids=(*known.node_ids, row.node_id))
            elif row.id in hosts:
                found[row.id] = IngressRoute(
                    service_id=row.id,
                    service=row.name,
                    hosts=tuple(hosts[row.id]),
                    tls=row.tls_enabled,
                    node_ids=(row.node_id,),
                )
        return list(found.values())


def _takes_traffic() -> Any:
    return and_(
        replicas.c.wanted == Wanted.RUNNING.value,
        or_(
            replicas.c.deployment_id == services.c.promoted_deployment_id,
            replicas.c.deployment_id == services.c.rolling_deployment_id,
        ),
    )


def _held(row: Row[Any]) -> HeldCertificate:
    return HeldCertificate(host=row.hostname, chain_pem=row.chain_pem, key_ref=row.key_ref)


def _proof(row: Row[Any]) -> Challenge:
    path = f"/.well-known/denia-challenge/{row.challenge_token}"
    return Challenge(path=path, body=row.challenge_token, host=row.hostname)

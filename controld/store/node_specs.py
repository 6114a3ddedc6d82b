"""The rows that a node spec is made of."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from sqlalchemy import select

from controld.core.ports import Transaction
from controld.model.spec_rows import ServiceRouting, SpecRows
from controld.store.tables import hostnames, replicas, services
from wire.spec import Replica, Wanted


class NodeSpecStore:
    """Reads what one node should run."""

    async def read(self, tx: Transaction, node_id: str) -> SpecRows:
        """The node's replicas, and the routing of their services."""
        here = select(replicas.c.service_id).where(replicas.c.node_id == node_id)
        found = await tx.execute(
            select(replicas.c.id, replicas.c.config, replicas.c.wanted).where(replicas.c.node_id == node_id)
        )
        hosts: dict[str, list[str]] = defaultdict(list)
        verified = await tx.execute(
            select(hostnames.c.service_id, hostnames.c.hostname).where(
                hostnames.c.status == "verified", hostnames.c.service_id.in_(here)
            )
        )
        for row in verified:
            hosts[row.service_id].append(row.hostname)
        routed = await tx.execute(
            select(services.c.id, services.c.name, services.c.promoted_deployment_id).where(services.c.id.in_(here))
        )
        return SpecRows(
            node_id=node_id,
            replicas=tuple(
                msgspec.convert({**row.config, "id": row.id, "wanted": Wanted(row.wanted)}, Replica) for row in found
            ),
            services=tuple(
                ServiceRouting(
                    service_id=row.id,
                    service=row.name,
                    promoted_deployment_id=row.promoted_deployment_id,
                    hosts=tuple(hosts[row.id]),
                )
                for row in routed
            ),
        )

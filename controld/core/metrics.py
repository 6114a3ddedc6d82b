"""Readings of services, asked of the nodes that run them."""

from __future__ import annotations

from typing import Final

from controld.core.places import Places, ask_all
from controld.core.ports import Agents
from controld.core.services import Services
from controld.model.caller import Caller
from controld.model.observed import ReplicaReading, ServiceReading
from controld.rules.readings import sum_readings
from wire.spec import Wanted

_ANSWER_SECONDS: Final = 5.0


class Metrics:
    """Asks for the replicas of the promoted deployment."""

    def __init__(self, *, services: Services, places: Places, agents: Agents) -> None:
        self._services = services
        self._places = places
        self._agents = agents

    async def read_service(self, caller: Caller, service_id: str) -> ServiceReading | None:
        """The service's reading; None when nothing is promoted or nothing could be read. Raises ServiceNotFound."""
        service = await self._services.admit(caller, service_id, operation="service.metrics")
        placed = [
            replica
            for replica in await self._places.list_replicas(service_id)
            if replica.deployment_id == service.promoted_deployment_id and replica.wanted is Wanted.RUNNING
        ]
        if not placed:
            return None
        wanted = {replica.node_id for replica in placed}
        nodes = [node for node in await self._places.list_nodes(service_id) if node.id in wanted]
        answers, _ = await ask_all(
            nodes, lambda node: self._agents.fetch_metrics(node, service_id), limit_seconds=_ANSWER_SECONDS
        )
        known = {metrics.replica_id: metrics for answer in answers.values() for metrics in answer.replicas}
        return sum_readings(
            service.name,
            [
                ReplicaReading(
                    replica_id=replica.id,
                    deployment_id=replica.deployment_id,
                    index=replica.index,
                    node_id=replica.node_id,
                    cpu_limit_millis=replica.config.limits.cpu_millis,
                    memory_limit_bytes=replica.config.limits.memory_bytes,
                    metrics=known.get(replica.id),
                )
                for replica in placed
            ],
        )

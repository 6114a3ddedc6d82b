"""Readings of services, asked of the nodes that run them."""

from __future__ import annotations

import datetime as dt
from typing import Final

from controld.core.nodes import Nodes
from controld.core.places import Places, ask_all
from controld.core.ports import Agents
from controld.core.services import Services
from controld.model.caller import Caller
from controld.model.observed import NodePast, Past, ReplicaReading, ServicePast, ServiceReading
from controld.rules.access import check
from controld.rules.readings import sum_readings
from wire.agent.history import HostHistory
from wire.spec import Wanted

_ANSWER_SECONDS: Final = 5.0


class Metrics:
    """Asks for the replicas of the promoted deployment."""

    def __init__(self, *, services: Services, nodes: Nodes, places: Places, agents: Agents) -> None:
        self._services = services
        self._nodes = nodes
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

    async def read_past(self, caller: Caller, service_id: str, *, since: dt.datetime, step_seconds: int) -> ServicePast:
        """What the service's replicas used since then, those that are gone included; raises ServiceNotFound.

        Asked are the nodes that have replicas of it now; the answer says which of them do not tell.
        """
        service = await self._services.admit(caller, service_id, operation="service.metrics")
        nodes = await self._places.list_nodes(service_id)
        answers, silent = await ask_all(
            nodes,
            lambda node: self._agents.fetch_history(node, service_id, since=since, step_seconds=step_seconds),
            limit_seconds=_ANSWER_SECONDS,
        )
        told = list(answers.values())
        return ServicePast(
            service_name=service.name,
            since=since,
            step_seconds=max((each.step_seconds for each in told), default=step_seconds),
            fields=told[0].fields if told else (),
            replicas=tuple(
                Past(node_id=node.id, history=history)
                for node in nodes
                if node.id in answers
                for history in answers[node.id].replicas
            ),
            unreachable=tuple(silent.values()),
        )

    async def read_node_past(self, caller: Caller, node_id: str, *, since: dt.datetime, step_seconds: int) -> NodePast:
        """What the node itself used since then; raises NodeNotFound."""
        check(caller, "node.metrics")
        node = await self._nodes.get(caller, node_id)
        answers, silent = await ask_all(
            [node],
            lambda node: self._agents.fetch_host_history(node, since=since, step_seconds=step_seconds),
            limit_seconds=_ANSWER_SECONDS,
        )
        told = answers.get(node.id) or HostHistory(step_seconds=step_seconds, fields=(), points=())
        return NodePast(node_id=node.id, since=since, history=told, unreachable=tuple(silent.values()))

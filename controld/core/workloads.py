"""Services as they run, for whoever wants to see all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controld.core.node_directory import NodeDirectory
from controld.core.places import ask_all
from controld.core.ports import Agents, Database
from controld.core.ports_deployments import DeploymentStore, FleetFacts, LaunchStore, ReplicaStore
from controld.core.ports_services import ServiceStore
from controld.model.caller import Caller
from controld.model.deployment import Deployment
from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from controld.model.service import Service
from controld.model.workload import Workload
from controld.rules.access import reach_of
from wire.agent.metrics import ReplicaMetrics
from wire.link import ReplicaState
from wire.spec import Wanted

_ANSWER_SECONDS: Final = 2.0
_HEARD: Final = frozenset({NodeState.READY, NodeState.DRAINING, NodeState.DRAINED})


class Workloads:
    """Counts replicas by rows and reports, and asks each node once what its replicas use.

    `shortages` says by service why replicas have no place.
    """

    def __init__(
        self,
        *,
        database: Database,
        services: ServiceStore,
        deployments: DeploymentStore,
        launches: LaunchStore,
        replicas: ReplicaStore,
        fleet: FleetFacts,
        directory: NodeDirectory,
        agents: Agents,
        shortages: Callable[[], Mapping[str, str]],
    ) -> None:
        self._database = database
        self._services = services
        self._deployments = deployments
        self._launches = launches
        self._replicas = replicas
        self._fleet = fleet
        self._directory = directory
        self._agents = agents
        self._shortages = shortages

    async def list(self, caller: Caller) -> list[Workload]:
        """The services in the caller's projects, by name; what a silent node's replicas use is left out."""
        reach = reach_of(caller)
        nodes = {node.id: node for node in await self._fleet.list_nodes()}
        async with self._database.read() as tx:
            services = await self._services.list(tx, projects=reach)
            current = {each.service_id: each for each in await self._deployments.list_current(tx, projects=reach)}
            launches = {each.service_id: each for each in await self._launches.list_promoted(tx)}
            running = await self._replicas.list_wanted(tx, Wanted.RUNNING)
        placed: dict[str, list[PlacedReplica]] = {service.id: [] for service in services}
        for replica in running:
            launch = launches.get(replica.service_id)
            if launch is None or replica.service_id not in placed:
                continue
            if replica.deployment_id in {launch.promoted_deployment_id, launch.rolling_deployment_id}:
                placed[replica.service_id].append(replica)
        asked = {replica.node_id for own in placed.values() for replica in own}
        metrics = await self._read_metrics(node_id for node_id in asked if _is_heard(nodes.get(node_id)))
        shortages = self._shortages()
        return [
            _describe(
                service,
                current.get(service.id),
                placed[service.id],
                nodes=nodes,
                metrics=metrics,
                wanted=launches[service.id].replicas if service.id in launches else 0,
                problem=shortages.get(service.id)
                or (launches[service.id].scale_problem if service.id in launches else None),
            )
            for service in services
        ]

    async def _read_metrics(self, node_ids: Iterable[str]) -> Mapping[str, ReplicaMetrics]:
        found = [await self._directory.find(node_id) for node_id in sorted(node_ids)]
        nodes = [node for node in found if node is not None]
        answers, _ = await ask_all(
            nodes, lambda node: self._agents.fetch_metrics(node, None), limit_seconds=_ANSWER_SECONDS
        )
        return {metrics.replica_id: metrics for answer in answers.values() for metrics in answer.replicas}


def _describe(
    service: Service,
    deployment: Deployment | None,
    placed: Iterable[PlacedReplica],
    *,
    nodes: Mapping[str, NodeFacts],
    metrics: Mapping[str, ReplicaMetrics],
    wanted: int,
    problem: str | None,
) -> Workload:
    replicas = list(placed)
    read = [metrics[replica.id] for replica in replicas if replica.id in metrics]
    cpu = [each.cpu_usage_usec for each in read if each.cpu_usage_usec is not None]
    memory = [each.memory_current_bytes for each in read if each.memory_current_bytes is not None]
    return Workload(
        service_id=service.id,
        service_name=service.name,
        project_id=service.project_id,
        deployment_id=None if deployment is None else deployment.id,
        status=None if deployment is None else deployment.status,
        cpu_usage_usec=sum(cpu) if cpu else None,
        memory_current_bytes=sum(memory) if memory else None,
        replica_count=len(replicas),
        healthy_replicas=sum(_is_healthy(replica, nodes.get(replica.node_id)) for replica in replicas),
        wanted_replicas=wanted,
        problem=problem,
    )


def _is_heard(node: NodeFacts | None) -> bool:
    return node is not None and node.state in _HEARD


def _is_healthy(replica: PlacedReplica, node: NodeFacts | None) -> bool:
    if node is None or not _is_heard(node):
        return False
    report = node.replicas.get(replica.id)
    return report is not None and report.state is ReplicaState.HEALTHY

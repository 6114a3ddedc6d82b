"""Nodes as people are shown them: with their newest report, their room and what is placed on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from controld.core.nodes import Nodes
from controld.core.ports import Database, NodeReports
from controld.core.ports_deployments import ReplicaStore
from controld.model.caller import Caller
from controld.model.fleet import NodeFacts
from controld.model.node import Node, NodeState
from controld.model.node_view import NodeReplica, NodeView
from controld.model.replica import PlacedReplica
from controld.model.report import NodeReport
from controld.rules.placement import NO_LOAD, Promise, compute_loads, compute_room
from wire.spec import Wanted


class NodeViews:
    """Puts together what the database and the nodes know; `shortages` says by service why replicas cannot move."""

    def __init__(
        self,
        *,
        nodes: Nodes,
        database: Database,
        replicas: ReplicaStore,
        reports: NodeReports,
        promise: Promise,
        shortages: Callable[[], Mapping[str, str]],
    ) -> None:
        self._nodes = nodes
        self._database = database
        self._replicas = replicas
        self._reports = reports
        self._promise = promise
        self._shortages = shortages

    async def list(self, caller: Caller) -> list[NodeView]:
        """Every node that is not removed, oldest first."""
        nodes = await self._nodes.list(caller)
        async with self._database.read() as tx:
            running = await self._replicas.list_wanted(tx, Wanted.RUNNING)
            draining = await self._replicas.list_wanted(tx, Wanted.DRAINING)
        placed: dict[str, list[PlacedReplica]] = {}
        for replica in (*running, *draining):
            placed.setdefault(replica.node_id, []).append(replica)
        return [await self._view(node, placed.get(node.id, ())) for node in nodes]

    async def get(self, caller: Caller, node_id: str) -> NodeView:
        """One node; raises NodeNotFound."""
        node = await self._nodes.get(caller, node_id)
        async with self._database.read() as tx:
            placed = await self._replicas.list_of_node(tx, node_id)
        return await self._view(node, placed)

    async def _view(self, node: Node, placed: Sequence[PlacedReplica]) -> NodeView:
        report = await self._reports.fetch(node.id)
        host = None if report is None else report.host
        facts = NodeFacts(
            id=node.id,
            name=node.name,
            state=node.state,
            heard_at=node.heard_at,
            cpu_count=None if host is None else host.cpu_count,
            memory_bytes=None if host is None else host.memory_total_bytes,
        )
        cpu_millis, memory_bytes = compute_room(facts, self._promise)
        load = compute_loads(placed).get(node.id, NO_LOAD)
        shortages = self._shortages() if node.state is NodeState.DRAINING else {}
        return NodeView(
            node=node,
            engine=None if report is None else report.engine,
            ingress=None if report is None else report.ingress,
            converged=None if report is None else report.converged,
            host=host,
            promisable_cpu_millis=cpu_millis,
            promisable_memory_bytes=memory_bytes,
            promised_cpu_millis=load.cpu_millis,
            promised_memory_bytes=load.memory_bytes,
            replicas=tuple(_describe(replica, report, shortages) for replica in placed),
        )


def _describe(replica: PlacedReplica, report: NodeReport | None, shortages: Mapping[str, str]) -> NodeReplica:
    said = None if report is None else report.replica(replica.id)
    return NodeReplica(
        id=replica.id,
        service_id=replica.service_id,
        service=f"{replica.config.project}/{replica.config.service}",
        deployment_id=replica.deployment_id,
        index=replica.index,
        wanted=replica.wanted,
        state=None if said is None else said.state,
        since_at=None if said is None else said.since_at,
        reason=None if said is None else said.reason,
        waits_for=shortages.get(replica.service_id) if replica.wanted is Wanted.RUNNING else None,
    )

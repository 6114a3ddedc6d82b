"""The nodes as placement and upkeep see them."""

from __future__ import annotations

from controld.core.node_specs import NodeSpecs
from controld.core.ports import Database, NodeReports, NodeStore
from controld.model.fleet import NodeFacts
from controld.model.node import Node


class Fleet:
    """Puts nodes, their newest reports and what is wanted of them together."""

    def __init__(self, *, database: Database, nodes: NodeStore, reports: NodeReports, specs: NodeSpecs) -> None:
        self._database = database
        self._nodes = nodes
        self._reports = reports
        self._specs = specs

    async def list_nodes(self) -> tuple[NodeFacts, ...]:
        """Every node that is not removed, by id."""
        async with self._database.read() as tx:
            nodes = await self._nodes.list(tx)
        return tuple([await self._describe(node) for node in nodes])

    async def _describe(self, node: Node) -> NodeFacts:
        report = await self._reports.fetch(node.id)
        if report is None:
            return NodeFacts(id=node.id, name=node.name, state=node.state, heard_at=node.heard_at, labels=node.labels)
        return NodeFacts(
            id=node.id,
            name=node.name,
            state=node.state,
            heard_at=max(report.heard_at, node.heard_at or report.heard_at),
            is_current=report.applied_digest == (await self._specs.current(node.id)).digest,
            cpu_count=report.host.cpu_count if report.host else None,
            memory_bytes=report.host.memory_total_bytes if report.host else None,
            labels=node.labels,
            replicas={replica.id: replica for replica in report.replicas},
            job_runs={run.key: run for run in report.job_runs},
        )

"""Nodes whose reports a test writes."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from wire.link import JobRunReport, ReplicaReport, ReplicaState

HEARD = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class FakeFleet:
    """Nodes by id, as facts."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeFacts] = {}

    async def list_nodes(self) -> tuple[NodeFacts, ...]:
        return tuple(self.nodes[key] for key in sorted(self.nodes))

    def put(self, node_id: str, state: NodeState = NodeState.READY, *, is_current: bool = True) -> None:
        """Have the node in this state, with what it reports left as it is."""
        known = self.nodes.get(node_id)
        self.nodes[node_id] = NodeFacts(
            id=node_id,
            name=f"node-{node_id[-1]}",
            state=state,
            heard_at=HEARD,
            is_current=is_current,
            cpu_count=4,
            memory_bytes=8 * 1024**3,
            replicas={} if known is None else known.replicas,
            job_runs={} if known is None else known.job_runs,
        )

    def report(
        self,
        node_id: str,
        replica_id: str,
        state: ReplicaState,
        *,
        restarts: int = 0,
        reason: str | None = None,
        last_lines: tuple[str, ...] = (),
        serving: bool | None = None,
    ) -> None:
        """Have the node report this of a replica; a healthy one takes requests unless told otherwise."""
        node = self.nodes[node_id]
        report = ReplicaReport(
            id=replica_id,
            state=state,
            since_at=HEARD,
            restarts=restarts,
            reason=reason,
            last_lines=last_lines,
            serving=state is ReplicaState.HEALTHY if serving is None else serving,
        )
        self.nodes[node_id] = dataclasses.replace(node, replicas={**node.replicas, replica_id: report})

    def report_run(self, node_id: str, report: JobRunReport) -> None:
        """Have the node report this of an attempt of a job's run."""
        node = self.nodes[node_id]
        self.nodes[node_id] = dataclasses.replace(node, job_runs={**node.job_runs, report.key: report})

    def drop(self, node_id: str, replica_id: str) -> None:
        """Have the node report nothing of it any more."""
        node = self.nodes[node_id]
        rest = {key: report for key, report in node.replicas.items() if key != replica_id}
        self.nodes[node_id] = dataclasses.replace(node, replicas=rest)

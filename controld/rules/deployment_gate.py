"""What nodes report of the new replicas of a deployment, and how a gate that stays shut is explained."""

from __future__ import annotations

import dataclasses

from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from controld.rules.placement import describe_state
from wire.link import ReplicaReport, ReplicaState

_DOOMED_RESTARTS = 2
_WATCHED = frozenset({NodeState.READY, NodeState.DRAINING})
"""Nodes whose reports are fresh."""


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A replica of a deployment, its node, and what that says of it."""

    replica: PlacedReplica
    node: NodeFacts | None
    report: ReplicaReport | None

    @classmethod
    def of(cls, replica: PlacedReplica, nodes: tuple[NodeFacts, ...]) -> Seen:
        """The replica as the newest reports show it."""
        node = find_node(nodes, replica.node_id)
        return cls(replica, node, None if node is None else node.replicas.get(replica.id))

    @property
    def state(self) -> ReplicaState:
        """Its state; pending while nothing is reported."""
        return ReplicaState.PENDING if self.report is None else self.report.state

    @property
    def is_healthy(self) -> bool:
        """Healthy by a report that is not old."""
        return self.state is ReplicaState.HEALTHY and self.node is not None and self.node.state in _WATCHED

    @property
    def is_doomed(self) -> bool:
        """It will not come up by waiting."""
        if self.report is None:
            return False
        return self.state is ReplicaState.FAILED or (
            self.state in {ReplicaState.EXITED, ReplicaState.STARTING, ReplicaState.UNHEALTHY}
            and self.report.restarts >= _DOOMED_RESTARTS
        )


def describe_failure(seen: Seen, *, late: bool) -> tuple[str, tuple[str, ...]]:
    """Why the replica is not healthy, and the end of its log; `late` says that the deadline has passed."""
    name = f"replica {seen.replica.index}"
    node, report = seen.node, seen.report
    if node is not None and node.state not in _WATCHED:
        return f"{name} could not be watched: node {node.name} {describe_state(node)}", ()
    if report is None:
        return f"{name} was not started in time: its node reports nothing of it", ()
    if late and report.state is ReplicaState.PULLING:
        return f"{name} did not get its image in time", report.last_lines
    why = report.reason or _word_state(report)
    tries = f" ({report.restarts} restarts)" if report.restarts else ""
    deadline = " within its deadline" if late else ""
    return f"{name} did not become healthy{deadline}: {why}{tries}", report.last_lines


def _word_state(report: ReplicaReport) -> str:
    if report.oom_killed:
        return "it ran out of memory and was killed"
    if report.exit_code is not None:
        return f"it exited with code {report.exit_code}"
    return f"it is {report.state.value}"


def describe_nodes(nodes: tuple[NodeFacts, ...]) -> str:
    """How each node stands, in a sentence; at most five are named."""
    if not nodes:
        return "no node is enrolled"
    told = "; ".join(f"node {node.name} {describe_state(node)}" for node in nodes[:5])
    return told if len(nodes) <= 5 else f"{told}; and {len(nodes) - 5} more"


def find_node(nodes: tuple[NodeFacts, ...], node_id: str | None) -> NodeFacts | None:
    """The node, or None when it is gone."""
    return next((node for node in nodes if node.id == node_id), None)

"""What keeps a promoted deployment running as wanted: replicas to add, to drain and to forget."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from controld.model.artifact import Artifact
from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from controld.rules.placement import Load, place
from wire.link import ReplicaState
from wire.spec import Limits, Wanted

_FORGET_AFTER = dt.timedelta(seconds=60)


@dataclasses.dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """Nodes that get one more replica each, and replicas that are to drain."""

    add: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()


def plan_upkeep(
    replicas: Sequence[PlacedReplica],
    nodes: Sequence[NodeFacts],
    *,
    count: int,
    artifact: Artifact,
    limits: Limits,
    loads: Mapping[str, Load],
) -> UpkeepPlan:
    """The plan for the running replicas of one promoted deployment.

    Replicas on lost and removed nodes are replaced where there is room and drain once each has its replacement; those
    on a draining node drain after their replacements are healthy. Without another node all stays as it is.
    """
    by_id = {node.id: node for node in nodes}
    running = [replica for replica in replicas if replica.wanted is Wanted.RUNNING]
    gone = [replica for replica in running if _state(by_id, replica) in {NodeState.LOST, NodeState.REMOVED}]
    leaving = [replica for replica in running if _state(by_id, replica) in {NodeState.DRAINING, NodeState.DRAINED}]
    staying = [replica for replica in running if replica not in gone and replica not in leaving]
    add = place(
        max(0, count - len(staying)),
        nodes,
        artifact=artifact,
        limits=limits,
        loads=loads,
        taken=[replica.node_id for replica in staying],
        overcommit=not staying,
    )
    drain = [replica.id for replica in gone[: max(0, len(staying) + len(add) - (count - len(gone)))]]
    healthy = [replica for replica in staying if _is_healthy(by_id, replica)]
    if len(healthy) >= count:
        drain += [replica.id for replica in leaving]
    surplus = sorted(staying, key=lambda replica: (_is_healthy(by_id, replica), -replica.index))
    if len(healthy) >= count:
        drain += [replica.id for replica in surplus[: len(staying) - count]]
    return UpkeepPlan(add, tuple(drain))


def is_drained(replica: PlacedReplica, node: NodeFacts | None, *, now: dt.datetime) -> bool:
    """Whether a draining replica has gone from its node, or must have gone by now, so that its row can go too."""
    if node is None or node.state == NodeState.REMOVED:
        return True
    if node.is_current and replica.id not in node.replicas:
        return True
    began_at = replica.draining_at or replica.created_at
    limit = dt.timedelta(seconds=replica.config.drain_seconds + replica.config.stop_seconds)
    return now >= began_at + limit + _FORGET_AFTER


def _state(nodes: Mapping[str, NodeFacts], replica: PlacedReplica) -> NodeState:
    node = nodes.get(replica.node_id)
    return NodeState.REMOVED if node is None else node.state


def _is_healthy(nodes: Mapping[str, NodeFacts], replica: PlacedReplica) -> bool:
    node = nodes.get(replica.node_id)
    report = None if node is None else node.replicas.get(replica.id)
    return report is not None and report.state is ReplicaState.HEALTHY

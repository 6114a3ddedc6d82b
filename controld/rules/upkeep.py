"""What keeps a promoted deployment running as wanted: replicas to add, to drain and to forget."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.placement import Placement, Spread
from controld.model.replica import PlacedReplica
from controld.rules.placement import Load, Need, allows_node, explain_shortage, place
from wire.link import ReplicaReport, ReplicaState
from wire.spec import Wanted

_FORGET_AFTER = dt.timedelta(seconds=60)


@dataclasses.dataclass(frozen=True, slots=True)
class UpkeepPlan:
    """Nodes that get one more replica each, and replicas that are to drain."""

    add: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    shortage: str | None = None
    """Why fewer are added than are wanted."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Standing:
    """The running replicas of one deployment, by what becomes of them."""

    gone: list[PlacedReplica]
    """Their node is lost or removed."""
    leaving: list[PlacedReplica]
    """Their node is set aside, or is none that the service may use."""
    staying: list[PlacedReplica]


def is_settled(
    replicas: Sequence[PlacedReplica], nodes: Mapping[str, NodeFacts], *, count: int, placement: Placement
) -> bool:
    """Whether nothing has to be planned: as many replicas as wanted, and all where they may be."""
    standing = _sort_out(replicas, nodes, placement)
    return len(standing.staying) == count and not standing.gone and not standing.leaving


def plan_upkeep(
    replicas: Sequence[PlacedReplica],
    nodes: Sequence[NodeFacts],
    *,
    count: int,
    need: Need,
    loads: Mapping[str, Load],
) -> UpkeepPlan:
    """The plan for the running replicas of one promoted deployment.

    Replicas on lost nodes are replaced where there is room and drain once each has its replacement. Those on a node
    that drains, or that labels, names or the spread rule out, drain one by one as their replacements take requests.
    What cannot be replaced stays as it is.
    """
    by_id = {node.id: node for node in nodes}
    standing = _sort_out(replicas, by_id, need.placement)
    staying, leaving, gone = standing.staying, standing.leaving, standing.gone
    missing = max(0, count - len(staying))
    taken = [replica.node_id for replica in staying]
    add = place(missing, nodes, need=need, loads=loads, taken=taken)
    shortage = None
    if len(add) < missing:
        shortage = explain_shortage(nodes, need=need, loads=loads, taken=[*taken, *add])
    drain = gone[: max(0, len(staying) + len(add) + len(gone) - count)]
    drain += [replica for replica in gone if replica not in drain and _state(by_id, replica) is NodeState.REMOVED]
    serving = sum(_serves(by_id, replica) for replica in staying)
    dispensable = max(0, serving + len(leaving) - count)
    drain += sorted(leaving, key=lambda replica: (_is_healthy(by_id, replica), -replica.index))[:dispensable]
    if sum(_is_healthy(by_id, replica) for replica in staying) >= count:
        surplus = sorted(staying, key=lambda replica: (_is_healthy(by_id, replica), -replica.index))
        drain += surplus[: len(staying) - count]
    return UpkeepPlan(add, tuple(replica.id for replica in drain), shortage)


def is_drained(replica: PlacedReplica, node: NodeFacts | None, *, now: dt.datetime) -> bool:
    """Whether a draining replica has gone from its node, or must have gone by now, so that its row can go too."""
    if node is None or node.state == NodeState.REMOVED:
        return True
    if node.is_current and replica.id not in node.replicas:
        return True
    began_at = replica.draining_at or replica.created_at
    limit = dt.timedelta(seconds=replica.config.drain_seconds + replica.config.stop_seconds)
    return now >= began_at + limit + _FORGET_AFTER


def _sort_out(replicas: Sequence[PlacedReplica], nodes: Mapping[str, NodeFacts], placement: Placement) -> _Standing:
    standing = _Standing([], [], [])
    taken: set[str] = set()
    running = (replica for replica in replicas if replica.wanted is Wanted.RUNNING)
    for replica in sorted(running, key=lambda replica: (not _is_healthy(nodes, replica), replica.index)):
        node, state = nodes.get(replica.node_id), _state(nodes, replica)
        if node is None or state in {NodeState.LOST, NodeState.REMOVED}:
            standing.gone.append(replica)
        elif (
            state in {NodeState.DRAINING, NodeState.DRAINED}
            or not allows_node(node, placement)
            or (placement.spread is Spread.REQUIRE and replica.node_id in taken)
        ):
            standing.leaving.append(replica)
        else:
            standing.staying.append(replica)
            taken.add(replica.node_id)
    return standing


def _state(nodes: Mapping[str, NodeFacts], replica: PlacedReplica) -> NodeState:
    node = nodes.get(replica.node_id)
    return NodeState.REMOVED if node is None else node.state


def _report(nodes: Mapping[str, NodeFacts], replica: PlacedReplica) -> ReplicaReport | None:
    node = nodes.get(replica.node_id)
    return None if node is None else node.replicas.get(replica.id)


def _is_healthy(nodes: Mapping[str, NodeFacts], replica: PlacedReplica) -> bool:
    report = _report(nodes, replica)
    return report is not None and report.state is ReplicaState.HEALTHY


def _serves(nodes: Mapping[str, NodeFacts], replica: PlacedReplica) -> bool:
    """Healthy, and its node's ingress leads to it."""
    report = _report(nodes, replica)
    return report is not None and report.state is ReplicaState.HEALTHY and report.serving

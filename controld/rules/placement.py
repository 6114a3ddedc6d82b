"""Which nodes take replicas and builds: those that may, where there is room, and spread."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from controld.model.artifact import Artifact
from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.placement import ANYWHERE, Placement, Spread
from controld.model.replica import PlacedReplica
from controld.rules.deployment_log import render_moment
from wire.spec import Limits, Origin, Wanted

_TOLD_NODES: Final = 5
_MIB: Final = 1024**2


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What the running replicas of a node may use together."""

    replicas: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0

    def plus(self, limits: Limits) -> Load:
        """The load with one more replica."""
        return Load(self.replicas + 1, self.cpu_millis + limits.cpu_millis, self.memory_bytes + limits.memory_bytes)


NO_LOAD: Final = Load()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """How much of a machine may be promised to replicas by their limits, which few of them ever use up.

    The headroom stays with the machine; of the rest a share is promised, which may be more than all of it.
    """

    headroom_cpu_millis: int = 0
    headroom_memory_bytes: int = 0
    cpu_percent: int = 1000
    memory_percent: int = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What each replica of a service asks of its node."""

    artifact: Artifact | None
    """None: it is yet to be built or pulled."""
    limits: Limits
    placement: Placement = ANYWHERE
    promise: Promise = dataclasses.field(default_factory=Promise)


def compute_loads(replicas: Iterable[PlacedReplica]) -> Mapping[str, Load]:
    """The load by node id of the replicas that are wanted running."""
    loads: dict[str, Load] = {}
    for replica in replicas:
        if replica.wanted is Wanted.RUNNING:
            loads[replica.node_id] = loads.get(replica.node_id, NO_LOAD).plus(replica.config.limits)
    return loads


def compute_room(node: NodeFacts, promise: Promise) -> tuple[int | None, int | None]:
    """The millicores and bytes that may be promised on the node in all; None: it has not told its size."""
    cpu = None if node.cpu_count is None else max(0, node.cpu_count * 1000 - promise.headroom_cpu_millis)
    memory = None if node.memory_bytes is None else max(0, node.memory_bytes - promise.headroom_memory_bytes)
    return (
        None if cpu is None else cpu * promise.cpu_percent // 100,
        None if memory is None else memory * promise.memory_percent // 100,
    )


def allows_node(node: NodeFacts, placement: Placement) -> bool:
    """Whether the service wants to run on this node, as far as labels and names go."""
    return _find_mismatch(node, placement) is None


def place(
    count: int, nodes: Sequence[NodeFacts], *, need: Need, loads: Mapping[str, Load], taken: Iterable[str] = ()
) -> tuple[str, ...]:
    """The node for each of `count` replicas; fewer, or none, where no more can be placed.

    Of the nodes that may take one and have room, it is the one with the fewest replicas of the service (`taken` names a
    node for each that it has), then one whose own size is not passed by what is promised, then the least loaded, then
    by id. A service that packs goes where most runs that leaves room.
    """
    own = Counter(taken)
    now = dict(loads)
    chosen: list[str] = []
    for _ in range(count):
        open_ones = [node for node in nodes if _find_obstacle(node, need, now, own) is None]
        if not open_ones:
            break
        best = min(open_ones, key=lambda node: _rank(node, need, now, own))
        chosen.append(best.id)
        own[best.id] += 1
        now[best.id] = now.get(best.id, NO_LOAD).plus(need.limits)
    return tuple(chosen)


def explain_shortage(
    nodes: Sequence[NodeFacts], *, need: Need, loads: Mapping[str, Load], taken: Iterable[str] = ()
) -> str:
    """What stands in the way of one more replica on each node, in a sentence; at most five are named."""
    if not nodes:
        return "no node is enrolled"
    own = Counter(taken)
    obstacles = [(node, _find_obstacle(node, need, loads, own)) for node in nodes]
    told = "; ".join(f"node {node.name} {obstacle or 'has room'}" for node, obstacle in obstacles[:_TOLD_NODES])
    return told if len(nodes) <= _TOLD_NODES else f"{told}; and {len(nodes) - _TOLD_NODES} more"


def describe_state(node: NodeFacts) -> str:
    """The node's state and when it was last heard."""
    heard = "never heard" if node.heard_at is None else f"last heard at {render_moment(node.heard_at)}"
    return f"is {node.state.value}, {heard}"


def choose_builder(
    nodes: Sequence[NodeFacts], *, loads: Mapping[str, Load], building: Mapping[str, int], serving: Iterable[str]
) -> str | None:
    """The ready node to build or pull on, or None.

    It is the one with the fewest builds under way, then one that serves the service already (it has the layers), then
    the one with the fewest replicas, then by id.
    """
    ready = [node for node in nodes if node.state == NodeState.READY]
    serves = set(serving)
    if not ready:
        return None
    return min(
        ready,
        key=lambda node: (
            building.get(node.id, 0),
            node.id not in serves,
            loads.get(node.id, NO_LOAD).replicas,
            node.id,
        ),
    ).id


def _rank(
    node: NodeFacts, need: Need, loads: Mapping[str, Load], own: Mapping[str, int]
) -> tuple[int, int, int, int, str]:
    load, mine = loads.get(node.id, NO_LOAD), own.get(node.id, 0)
    after = load.plus(need.limits)
    tight = (node.cpu_count is not None and after.cpu_millis > node.cpu_count * 1000) or (
        node.memory_bytes is not None and after.memory_bytes > node.memory_bytes
    )
    if need.placement.spread is Spread.PACK:
        return tight, -mine, -load.replicas, -load.memory_bytes, node.id
    return mine, tight, load.memory_bytes, load.replicas, node.id


def _find_obstacle(node: NodeFacts, need: Need, loads: Mapping[str, Load], own: Mapping[str, int]) -> str | None:
    """Why the node takes no further replica, as what it is or has; None: it takes one."""
    if node.state != NodeState.READY:
        return describe_state(node)
    if (mismatch := _find_mismatch(node, need.placement)) is not None:
        return mismatch
    artifact = need.artifact
    if artifact is not None and artifact.origin is Origin.LOCAL and artifact.node_id != node.id:
        return "does not have the image, which comes from no registry"
    if need.placement.spread is Spread.REQUIRE and own.get(node.id, 0) > 0:
        return "runs a replica of the service already"
    after = loads.get(node.id, NO_LOAD).plus(need.limits)
    cpu, memory = compute_room(node, need.promise)
    if cpu is not None and after.cpu_millis > cpu:
        free = max(0, cpu - after.cpu_millis + need.limits.cpu_millis)
        return f"has {free} of {cpu} millicores left and {need.limits.cpu_millis} are needed"
    if memory is not None and after.memory_bytes > memory:
        free = max(0, memory - after.memory_bytes + need.limits.memory_bytes)
        return (
            f"has {free // _MIB} of {memory // _MIB} MiB of memory left and "
            f"{-(-need.limits.memory_bytes // _MIB)} are needed"
        )
    return None


def _find_mismatch(node: NodeFacts, placement: Placement) -> str | None:
    if placement.nodes and node.id not in placement.nodes and node.name not in placement.nodes:
        return "is not among those named"
    for name, value in sorted(placement.labels.items()):
        if node.labels.get(name) != value:
            has = f"has {name}={node.labels[name]}" if name in node.labels else f"has no label {name}"
            return f"{has}, and {name}={value} is wanted"
    return None

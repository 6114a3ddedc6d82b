"""Which nodes take replicas and builds: ready ones, spread, and where there is room."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from controld.model.artifact import Artifact
from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from wire.spec import Limits, Origin, Wanted


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What the running replicas of a node may use together."""

    replicas: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0

    def plus(self, limits: Limits) -> Load:
        """The load with one more replica."""
        return Load(self.replicas + 1, self.cpu_millis + limits.cpu_millis, self.memory_bytes + limits.memory_bytes)


NO_LOAD = Load()


def compute_loads(replicas: Iterable[PlacedReplica]) -> Mapping[str, Load]:
    """The load by node id of the replicas that are wanted running."""
    loads: dict[str, Load] = {}
    for replica in replicas:
        if replica.wanted is Wanted.RUNNING:
            loads[replica.node_id] = loads.get(replica.node_id, NO_LOAD).plus(replica.config.limits)
    return loads


def can_run(node: NodeFacts, artifact: Artifact) -> bool:
    """Whether the node takes new replicas and can get the image."""
    return node.state == NodeState.READY and (artifact.origin is not Origin.LOCAL or artifact.node_id == node.id)


def fits(node: NodeFacts, load: Load, limits: Limits) -> bool:
    """Whether the limits of all replicas stay within the machine; a machine that has not told its size has room."""
    after = load.plus(limits)
    return (node.cpu_count is None or after.cpu_millis <= node.cpu_count * 1000) and (
        node.memory_bytes is None or after.memory_bytes <= node.memory_bytes
    )


def place(
    count: int,
    nodes: Sequence[NodeFacts],
    *,
    artifact: Artifact,
    limits: Limits,
    loads: Mapping[str, Load],
    taken: Iterable[str] = (),
    overcommit: bool = True,
) -> tuple[str, ...]:
    """The node for each of `count` replicas; fewer, or none, where no node can take them.

    They spread: first to the nodes that have the fewest replicas of the service (`taken` names one node for each it
    has), then to those with room, then to those with the least load, then by id. Limits are what a replica may use and
    not what it does, so that a machine without room is still taken when there is no better one, unless `overcommit` is
    false.
    """
    candidates = [node for node in nodes if can_run(node, artifact)]
    own = Counter(taken)
    now = dict(loads)
    chosen: list[str] = []
    for _ in range(count):
        open_ones = [node for node in candidates if overcommit or fits(node, now.get(node.id, NO_LOAD), limits)]
        if not open_ones:
            break
        best = min(
            open_ones,
            key=lambda node: (
                own[node.id],
                not fits(node, now.get(node.id, NO_LOAD), limits),
                now.get(node.id, NO_LOAD).memory_bytes,
                now.get(node.id, NO_LOAD).replicas,
                node.id,
            ),
        )
        chosen.append(best.id)
        own[best.id] += 1
        now[best.id] = now.get(best.id, NO_LOAD).plus(limits)
    return tuple(chosen)


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

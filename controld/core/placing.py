"""Puts new replicas of a deployment on the nodes that a rule has chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controld.core.ports import Transaction
from controld.core.ports_deployments import ReplicaStore
from controld.model.artifact import Artifact
from controld.model.launch import Launch
from controld.model.replica import PlacedReplica
from controld.rules.replica_config import make_replica
from kit.clock import Clock
from kit.ids import Ids


class Placing:
    """Writes replicas down, each with the configuration that holds at that moment and the lowest free index."""

    def __init__(self, *, replicas: ReplicaStore, clock: Clock, ids: Ids, drain_seconds: float) -> None:
        self._replicas = replicas
        self._clock = clock
        self._ids = ids
        self._drain_seconds = drain_seconds

    async def add(
        self,
        tx: Transaction,
        launch: Launch,
        *,
        artifact: Artifact,
        deployment_id: str,
        node_ids: Sequence[str],
        known: Iterable[PlacedReplica],
    ) -> None:
        """Add one replica of the deployment on each of the nodes; `known` are those that it has."""
        used = {replica.index for replica in known}
        free = (index for index in range(len(used) + len(node_ids)) if index not in used)
        now = self._clock.now()
        placed = [
            make_replica(
                launch,
                artifact,
                deployment_id=deployment_id,
                replica_id=self._ids.new_id(),
                node_id=node_id,
                index=index,
                drain_seconds=self._drain_seconds,
                now=now,
            )
            for index, node_id in zip(free, node_ids, strict=False)
        ]
        await self._replicas.insert(tx, placed)

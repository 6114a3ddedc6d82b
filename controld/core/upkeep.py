"""Keeps promoted deployments at the replicas they should have, and forgets those that have drained."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from controld.core.ports import Database, Transaction
from controld.core.ports_deployments import ArtifactStore, DeploymentStore, FleetFacts, LaunchStore, ReplicaStore
from controld.model.artifact import Artifact
from controld.model.fleet import NodeFacts
from controld.model.launch import Launch
from controld.model.replica import PlacedReplica
from controld.rules.placement import compute_loads
from controld.rules.replica_config import freeze_config
from controld.rules.upkeep import UpkeepPlan, is_drained, plan_upkeep
from kit.clock import Clock
from kit.ids import Ids
from wire.spec import Wanted

_log = logging.getLogger(__name__)


class Upkeep:
    """Compares what is promoted with what is placed; doing it again changes nothing more."""

    def __init__(
        self,
        *,
        database: Database,
        deployments: DeploymentStore,
        artifacts: ArtifactStore,
        replicas: ReplicaStore,
        launches: LaunchStore,
        fleet: FleetFacts,
        clock: Clock,
        ids: Ids,
        drain_seconds: float,
    ) -> None:
        self._database = database
        self._deployments = deployments
        self._artifacts = artifacts
        self._replicas = replicas
        self._launches = launches
        self._fleet = fleet
        self._clock = clock
        self._ids = ids
        self._drain_seconds = drain_seconds

    async def reconcile(self) -> None:
        """Add, drain and forget what the rules say, a transaction for each service that needs something."""
        nodes = await self._fleet.list_nodes()
        async with self._database.read() as tx:
            launches = await self._launches.list_promoted(tx)
            due = [launch for launch in launches if await self._plan(tx, launch, nodes) is not None]
        for launch in due:
            await self._mend(launch.service_id, nodes)
        await self._drain_strays()
        await self._forget(nodes)

    async def _plan(
        self, tx: Transaction, launch: Launch, nodes: tuple[NodeFacts, ...]
    ) -> tuple[UpkeepPlan, Artifact, Sequence[PlacedReplica]] | None:
        assert launch.promoted_deployment_id is not None
        artifact = await self._artifacts.find_of_deployment(tx, launch.promoted_deployment_id)
        if artifact is None:
            return None
        own = await self._replicas.list_of_deployment(tx, launch.promoted_deployment_id)
        plan = plan_upkeep(own, nodes, count=launch.replicas, artifact=artifact, limits=launch.limits, loads={})
        if plan == UpkeepPlan():
            return None
        if plan.add:
            loads = compute_loads(await self._replicas.list_wanted(tx, Wanted.RUNNING))
            plan = plan_upkeep(own, nodes, count=launch.replicas, artifact=artifact, limits=launch.limits, loads=loads)
        return None if plan == UpkeepPlan() else (plan, artifact, own)

    async def _mend(self, service_id: str, nodes: tuple[NodeFacts, ...]) -> None:
        now = self._clock.now()
        async with self._database.write() as tx:
            await tx.lock("deployments at once")
            launch = await self._launches.find(tx, service_id)
            if launch is None or launch.promoted_deployment_id is None:
                return
            found = await self._plan(tx, launch, nodes)
            if found is None:
                return
            plan, artifact, own = found
            added = self._place(launch, artifact, own, plan)
            await self._replicas.insert(tx, added)
            await self._replicas.drain(tx, [each for each in own if each.id in plan.drain], at=now)
            tx.announce("service", service_id)
        _log.info("replicas mended", extra={"service": service_id, "added": len(plan.add), "drained": len(plan.drain)})

    def _place(
        self, launch: Launch, artifact: Artifact, own: Sequence[PlacedReplica], plan: UpkeepPlan
    ) -> list[PlacedReplica]:
        assert launch.promoted_deployment_id is not None
        used = {replica.index for replica in own}
        free = (index for index in range(len(own) + len(plan.add)) if index not in used)
        placed = []
        for node_id, index in zip(plan.add, free, strict=False):
            replica_id = self._ids.new_id()
            config = freeze_config(
                launch,
                artifact,
                deployment_id=launch.promoted_deployment_id,
                replica_id=replica_id,
                index=index,
                drain_seconds=self._drain_seconds,
            )
            placed.append(
                PlacedReplica(
                    id=replica_id,
                    service_id=launch.service_id,
                    deployment_id=launch.promoted_deployment_id,
                    node_id=node_id,
                    index=index,
                    config=config,
                    wanted=Wanted.RUNNING,
                    created_at=self._clock.now(),
                )
            )
        return placed

    async def _drain_strays(self) -> None:
        """Drain replicas that belong to no deployment that is promoted or on its way."""
        async with self._database.read() as tx:
            if not await self._find_strays(tx):
                return
        async with self._database.write() as tx:
            await tx.lock("deployments at once")
            await self._replicas.drain(tx, await self._find_strays(tx), at=self._clock.now())

    async def _find_strays(self, tx: Transaction) -> list[PlacedReplica]:
        wanted = {launch.promoted_deployment_id for launch in await self._launches.list_promoted(tx)}
        wanted |= {deployment.id for deployment in await self._deployments.list_unfinished(tx)}
        running = await self._replicas.list_wanted(tx, Wanted.RUNNING)
        return [replica for replica in running if replica.deployment_id not in wanted]

    async def _forget(self, nodes: tuple[NodeFacts, ...]) -> None:
        by_id = {node.id: node for node in nodes}
        now = self._clock.now()
        async with self._database.read() as tx:
            draining = await self._replicas.list_wanted(tx, Wanted.DRAINING)
        done = [replica for replica in draining if is_drained(replica, by_id.get(replica.node_id), now=now)]
        if done:
            async with self._database.write() as tx:
                await self._replicas.delete(tx, done)

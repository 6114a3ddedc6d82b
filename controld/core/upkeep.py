"""Keeps promoted deployments at the replicas they should have, and forgets those that have drained."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from controld.core.placing import Placing
from controld.core.ports import Database, NodeStore, Transaction
from controld.core.ports_deployments import ArtifactStore, DeploymentStore, FleetFacts, LaunchStore, ReplicaStore
from controld.model.artifact import Artifact
from controld.model.fleet import NodeFacts
from controld.model.launch import Launch
from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from controld.rules.placement import Need, Promise, compute_loads
from controld.rules.upkeep import UpkeepPlan, is_drained, is_settled, plan_upkeep
from kit.clock import Clock
from wire.spec import Wanted

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    launch: Launch
    artifact: Artifact
    own: Sequence[PlacedReplica]
    plan: UpkeepPlan


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
        nodes: NodeStore,
        fleet: FleetFacts,
        clock: Clock,
        placing: Placing,
        promise: Promise,
    ) -> None:
        self._database = database
        self._deployments = deployments
        self._artifacts = artifacts
        self._replicas = replicas
        self._launches = launches
        self._nodes = nodes
        self._fleet = fleet
        self._clock = clock
        self._placing = placing
        self._promise = promise
        self._shortages: Mapping[str, str] = {}

    @property
    def shortages(self) -> Mapping[str, str]:
        """Why a service has fewer replicas in their place than wanted, by its id, as last found."""
        return self._shortages

    async def reconcile(self) -> None:
        """Add, drain and forget what the rules say, a transaction for each service that needs something."""
        nodes = await self._fleet.list_nodes()
        by_id = {node.id: node for node in nodes}
        async with self._database.read() as tx:
            running = await self._replicas.list_wanted(tx, Wanted.RUNNING)
            own: dict[str, list[PlacedReplica]] = {}
            for replica in running:
                own.setdefault(replica.deployment_id, []).append(replica)
            due = [
                launch
                for launch in await self._launches.list_promoted(tx)
                if not is_settled(
                    own.get(launch.promoted_deployment_id or "", ()),
                    by_id,
                    count=launch.replicas,
                    placement=launch.placement,
                )
            ]
        shortages: dict[str, str] = {}
        for launch in due:
            shortage = await self._mend(launch.service_id, nodes)
            if shortage is not None:
                shortages[launch.service_id] = shortage
                if shortage != self._shortages.get(launch.service_id):
                    _log.warning("replicas cannot be placed", extra={"service": launch.service_id, "reason": shortage})
        self._shortages = shortages
        await self._drain_strays()
        await self._forget(nodes)
        await self._settle_draining(nodes)

    async def _mend(self, service_id: str, nodes: tuple[NodeFacts, ...]) -> str | None:
        """Do what one service needs; returns why not all of it could be done."""
        async with self._database.read() as tx:
            found = await self._plan(tx, service_id, nodes)
        if found is None or not (found.plan.add or found.plan.drain):
            return None if found is None else found.plan.shortage
        now = self._clock.now()
        async with self._database.write() as tx:
            await tx.lock("deployments at once")
            found = await self._plan(tx, service_id, nodes)
            if found is None:
                return None
            plan = found.plan
            await self._placing.add(
                tx,
                found.launch,
                artifact=found.artifact,
                deployment_id=found.launch.promoted_deployment_id or "",
                node_ids=plan.add,
                known=found.own,
            )
            await self._replicas.drain(tx, [each for each in found.own if each.id in plan.drain], at=now)
            tx.announce("service", service_id)
        _log.info("replicas mended", extra={"service": service_id, "added": len(plan.add), "drained": len(plan.drain)})
        return plan.shortage

    async def _plan(self, tx: Transaction, service_id: str, nodes: tuple[NodeFacts, ...]) -> _Found | None:
        launch = await self._launches.find(tx, service_id)
        if launch is None or launch.promoted_deployment_id is None:
            return None
        artifact = await self._artifacts.find_of_deployment(tx, launch.promoted_deployment_id)
        if artifact is None:
            return None
        own = await self._replicas.list_of_deployment(tx, launch.promoted_deployment_id)
        running = sum(each.wanted is Wanted.RUNNING for each in own)
        plan = plan_upkeep(
            own,
            nodes,
            # While another release takes over it decides how many of these go; only what is lost is replaced.
            count=launch.replicas if launch.rolling_deployment_id is None else min(running, launch.replicas),
            need=Need(artifact=artifact, limits=launch.limits, placement=launch.placement, promise=self._promise),
            loads=compute_loads(await self._replicas.list_wanted(tx, Wanted.RUNNING)),
        )
        return _Found(launch, artifact, own, plan)

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
                await self._replicas.delete(tx, done, at=now)

    async def _settle_draining(self, nodes: tuple[NodeFacts, ...]) -> None:
        """A node that drains and has nothing left is drained."""
        for node in nodes:
            if node.state is not NodeState.DRAINING:
                continue
            async with self._database.write() as tx:
                await tx.lock("deployments at once")
                if await self._nodes.count_replicas(tx, node.id) or await self._nodes.count_job_runs(tx, node.id):
                    continue
                drained = await self._nodes.change_state(
                    tx, node.id, before=NodeState.DRAINING, after=NodeState.DRAINED
                )
            if drained:
                _log.info("node drained", extra={"node_id": node.id, "node": node.name})

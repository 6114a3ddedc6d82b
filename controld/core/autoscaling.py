"""Lets services that have a policy follow their load, one controld for all."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from controld.core.idleness import Idleness
from controld.core.places import ask_all
from controld.core.ports import Agents, Database, NodeStore, Transaction
from controld.core.ports_deployments import (
    ArtifactStore,
    DeploymentStore,
    FleetFacts,
    LaunchStore,
    ReplicaStore,
)
from controld.core.ports_domains import LeaseStore
from controld.core.scale_notes import ScaleNotes
from controld.model.fleet import NodeFacts
from controld.model.launch import Launch
from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from controld.rules.autoscale import (
    Decision,
    Ledger,
    Use,
    compute_cpu_percent,
    compute_memory_percent,
    decide_count,
    fit_count,
    may_sleep,
)
from controld.rules.placement import Need, Promise, compute_loads
from kit.clock import Clock
from kit.ids import Ids
from wire.agent.metrics import ReplicaMetrics
from wire.link import ReplicaState
from wire.spec import Wanted

_log = logging.getLogger(__name__)

_LEASE: Final = "autoscale"
_TICKS_OF_LEASE: Final = 3
_ANSWER_SECONDS: Final = 5.0
_GONE: Final = frozenset({NodeState.LOST, NodeState.REMOVED})


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """What one tick looks at."""

    launches: Sequence[Launch]
    busy: Collection[str]
    """Services with a deployment under way."""
    healthy: Mapping[str, Sequence[PlacedReplica]]
    """By deployment."""
    nodes: tuple[NodeFacts, ...]

    def list_healthy(self, launch: Launch) -> Sequence[PlacedReplica]:
        """The healthy replicas of what is promoted."""
        return self.healthy.get(launch.promoted_deployment_id or "", ())


class Autoscaling:
    """Decides at each tick how many replicas run; upkeep starts and drains them.

    The controld that holds the lease does it for all, and keeps it as long as it lives: it knows the readings of the
    tick before. Another that takes over begins with fresh ones, and counts cooldowns from its own beginning.

    A node takes replicas by `promise` as those of any service, and by `headroom` as far as the limits of all replicas
    with a policy go: more of them than the machines could really serve would not help.
    """

    def __init__(
        self,
        *,
        database: Database,
        launches: LaunchStore,
        deployments: DeploymentStore,
        replicas: ReplicaStore,
        artifacts: ArtifactStore,
        nodes: NodeStore,
        leases: LeaseStore,
        fleet: FleetFacts,
        agents: Agents,
        notes: ScaleNotes,
        clock: Clock,
        ids: Ids,
        promise: Promise,
        headroom: Promise,
        tick_seconds: float,
        leading_label: tuple[str, str] | None = None,
    ) -> None:
        self._database = database
        self._launches = launches
        self._deployments = deployments
        self._replicas = replicas
        self._artifacts = artifacts
        self._nodes = nodes
        self._leases = leases
        self._fleet = fleet
        self._agents = agents
        self._notes = notes
        self._clock = clock
        self._owner = ids.new_id()
        self._promise = promise
        self._headroom = headroom
        self._lease_time = dt.timedelta(seconds=tick_seconds * _TICKS_OF_LEASE)
        self._readings: Mapping[str, ReplicaMetrics] = {}
        self._low_since: dict[str, float] = {}
        self._idleness = Idleness(
            database=database, nodes=nodes, agents=agents, clock=clock, leading_label=leading_label
        )

    async def tick(self) -> None:
        """Look at every service with a policy, and change the counts that its load calls for."""
        seen = await self._look()
        if not seen.launches or not await self._hold_lease():
            self._readings = {}
            self._low_since = {}
            await self._idleness.look({})
            return
        before, self._readings = self._readings, await self._read(seen)
        idle = await self._idleness.look(_find_homes(seen))
        due = [
            each
            for each in seen.launches
            if each.replicas and each.rolling_deployment_id is None and each.service_id not in seen.busy
        ]
        ids = {launch.service_id for launch in due}
        self._low_since = {key: moment for key, moment in self._low_since.items() if key in ids}
        for launch in due:
            uses = [self._measure(replica, before) for replica in seen.list_healthy(launch)]
            await self._decide(launch, uses, nodes=seen.nodes, idle_seconds=idle.get(launch.service_id))

    async def release(self) -> None:
        """Let another controld take over at once."""
        async with self._database.write() as tx:
            await self._leases.release(tx, _LEASE, owner=self._owner)

    async def _look(self) -> _Seen:
        nodes = await self._fleet.list_nodes()
        async with self._database.read() as tx:
            launches = await self._launches.list_scaled(tx)
            if not launches:
                return _Seen((), (), {}, nodes)
            busy = {deployment.service_id for deployment in await self._deployments.list_unfinished(tx)}
            running = await self._replicas.list_wanted(tx, Wanted.RUNNING)
        return _Seen(launches, busy, _sort_healthy(running, nodes), nodes)

    async def _hold_lease(self) -> bool:
        now = self._clock.now()
        async with self._database.write() as tx:
            return await self._leases.take(tx, _LEASE, owner=self._owner, now=now, until=now + self._lease_time)

    async def _read(self, seen: _Seen) -> Mapping[str, ReplicaMetrics]:
        """The newest readings by replica, of the nodes that answer."""
        wanted = {replica.node_id for launch in seen.launches for replica in seen.list_healthy(launch)}
        async with self._database.read() as tx:
            found = [await self._nodes.get(tx, node_id) for node_id in sorted(wanted)]
        answers, silent = await ask_all(
            [node for node in found if node is not None],
            lambda node: self._agents.fetch_metrics(node, None),
            limit_seconds=_ANSWER_SECONDS,
        )
        for node_id, why in silent.items():
            _log.warning("readings of a node are missing", extra={"node_id": node_id, "reason": why})
        return {metrics.replica_id: metrics for answer in answers.values() for metrics in answer.replicas}

    def _measure(self, replica: PlacedReplica, before: Mapping[str, ReplicaMetrics]) -> Use:
        now, limits = self._readings.get(replica.id), replica.config.limits
        return Use(
            cpu_percent=compute_cpu_percent(before.get(replica.id), now, limit_millis=limits.cpu_millis),
            memory_percent=compute_memory_percent(now, limit_bytes=limits.memory_bytes),
        )

    async def _decide(
        self, launch: Launch, uses: Sequence[Use], *, nodes: Sequence[NodeFacts], idle_seconds: float | None
    ) -> None:
        assert launch.autoscale is not None
        decision = decide_count(
            launch.autoscale,
            uses,
            current=launch.replicas,
            low_since=self._low_since.pop(launch.service_id, None),
            now=self._clock.monotonic(),
        )
        if may_sleep(launch.autoscale, uses, idle_seconds=idle_seconds):
            decision = Decision(0, why=f"asked for nothing for {idle_seconds:.0f} s")
        if decision.low_since is not None:
            self._low_since[launch.service_id] = decision.low_since
        if decision.count == launch.replicas and launch.scale_problem is None:
            return
        async with self._database.write() as tx:
            await tx.lock("services")
            # A service that somebody changed or deployed meanwhile is looked at again by the next tick.
            if await self._launches.find(tx, launch.service_id) == launch:
                await self._change(tx, launch, decision, nodes=nodes)

    async def _change(self, tx: Transaction, launch: Launch, decision: Decision, *, nodes: Sequence[NodeFacts]) -> None:
        count, problem = decision.count, None
        if count > launch.replicas:
            room, shortage = await self._fit(tx, launch, count, nodes)
            count = max(launch.replicas, min(count, room))
            if shortage is not None:
                problem = (
                    f"insufficient_capacity: {decision.count} replicas are called for ({decision.why}) and there is "
                    f"room for {count}: {shortage}"
                )
        if (count, problem) == (launch.replicas, launch.scale_problem):
            return
        await self._launches.scale(tx, launch.service_id, count=count, problem=problem)
        if count != launch.replicas:
            await self._notes.note(tx, launch, count=count, why=decision.why)
        if problem is not None and launch.scale_problem is None:
            await self._notes.tell(tx, launch, problem)
            _log.warning("service cannot scale", extra={"service": launch.service_id, "reason": problem})

    async def _fit(
        self, tx: Transaction, launch: Launch, count: int, nodes: Sequence[NodeFacts]
    ) -> tuple[int, str | None]:
        running = await self._replicas.list_wanted(tx, Wanted.RUNNING)
        scaled = {each.service_id for each in await self._launches.list_scaled(tx)}
        artifact = await self._artifacts.find_of_deployment(tx, launch.promoted_deployment_id or "")
        need = Need(artifact=artifact, limits=launch.limits, placement=launch.placement, promise=self._promise)
        return fit_count(
            count,
            nodes,
            ledgers=(
                Ledger(need=need, loads=compute_loads(running)),
                Ledger(
                    need=dataclasses.replace(need, promise=self._headroom),
                    loads=compute_loads(replica for replica in running if replica.service_id in scaled),
                ),
            ),
            taken=[each.node_id for each in running if each.deployment_id == launch.promoted_deployment_id],
        )


def _find_homes(seen: _Seen) -> Mapping[str, Collection[str]]:
    """The nodes of each service that may scale to nothing and is awake."""
    return {
        launch.service_id: {replica.node_id for replica in seen.list_healthy(launch)}
        for launch in seen.launches
        if launch.autoscale is not None and launch.autoscale.min_replicas == 0 and not launch.is_asleep
    }


def _sort_healthy(
    running: Iterable[PlacedReplica], nodes: Iterable[NodeFacts]
) -> Mapping[str, Sequence[PlacedReplica]]:
    """By deployment, the replicas that were healthy by the last word of nodes that are not given up."""
    heard = {node.id: node for node in nodes if node.state not in _GONE}
    healthy: dict[str, list[PlacedReplica]] = {}
    for replica in running:
        node = heard.get(replica.node_id)
        report = None if node is None else node.replicas.get(replica.id)
        if report is not None and report.state is ReplicaState.HEALTHY:
            healthy.setdefault(replica.deployment_id, []).append(replica)
    return healthy

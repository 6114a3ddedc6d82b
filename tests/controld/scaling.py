"""A service with a policy whose load a test makes up."""

from __future__ import annotations

import dataclasses

from controld.core.audit import Audit
from controld.core.autoscaling import Autoscaling
from controld.core.scale_notes import ScaleNotes
from controld.model.audit import AuditQuery, AuditRecord
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Deployment
from controld.model.page import Page
from controld.model.replica import PlacedReplica
from controld.model.service import AutoscalePolicy, ResourceLimits
from controld.rules.placement import Promise
from controld.store.artifacts import ArtifactStore
from controld.store.deployment_logs import DeploymentLogStore
from controld.store.deployments import DeploymentStore
from controld.store.launches import LaunchStore
from controld.store.leases import LeaseStore
from controld.store.nodes import NodeStore
from controld.store.replicas import ReplicaStore
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from wire.agent.activity import Activity, ServiceActivity
from wire.agent.metrics import ReplicaMetrics, ServiceMetrics
from wire.link import ReplicaState
from wire.spec import Wanted

TICK_SECONDS = 15.0
LIMITS = ResourceLimits(cpu_millis=1000, memory_bytes=64 * 1024**2)
POLICY = AutoscalePolicy(min_replicas=1, max_replicas=5, target_cpu_pct=50, scale_down_cooldown_s=60, idle_timeout_s=60)


class Scaled:
    """A service with a policy whose replicas are healthy, and what they are said to use."""

    deployment: Deployment

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.app = ground.app
        self._used: dict[str, int] = {}

    async def put(self, policy: AutoscalePolicy | None = POLICY, **changes: object) -> None:
        """Change the service, and what runs of it."""
        draft = dataclasses.replace(
            self.ground.draft("web"),
            autoscale=policy,
            resource_limits=LIMITS,
            **changes,  # type: ignore[arg-type]
        )
        await self.app.services.put(SETUP_CALLER, draft)
        await self.app.deploying.upkeep.reconcile()

    async def pass_ticks(self, autoscaling: Autoscaling, cpu_percent: int, *, count: int = 1) -> None:
        """Let so many ticks pass in each of which every healthy replica used that much, and upkeep follow."""
        for _ in range(count):
            await self.app.clock.advance(TICK_SECONDS)
            await self.say(cpu_percent)
            await autoscaling.tick()
            await self.app.deploying.upkeep.reconcile()
            for replica in await self.running():
                self.app.fleet.report(replica.node_id, replica.id, ReplicaState.HEALTHY)

    async def say(self, cpu_percent: int) -> None:
        """Have the nodes tell that every replica used that much since the last tick."""
        told: dict[tuple[str, str], list[ReplicaMetrics]] = {}
        for replica in await self.running():
            used = self._used.get(replica.id, 0) + int(TICK_SECONDS * cpu_percent * 10_000)
            self._used[replica.id] = used
            told.setdefault((replica.node_id, replica.service_id), []).append(
                ReplicaMetrics(
                    replica_id=replica.id,
                    deployment_id=replica.deployment_id,
                    index=replica.index,
                    recorded_at=self.app.clock.now(),
                    cpu_usage_usec=used,
                    memory_current_bytes=0,
                )
            )
        self.app.agents.metrics = {key: ServiceMetrics(replicas=tuple(rows)) for key, rows in told.items()}

    async def running(self) -> list[PlacedReplica]:
        """The replicas that should run."""
        return [each for each in await self.ground.replicas() if each.wanted is Wanted.RUNNING]

    async def count(self) -> int:
        """How many should run."""
        return len(await self.running())

    async def log(self) -> list[str]:
        """The lines of the deployment's log."""
        return await self.ground.log(self.deployment)

    async def audit(self) -> list[AuditRecord]:
        """The records of scaling, oldest first."""
        async with self.app.database.read() as tx:
            found = await self.app.audit_store.list(tx, AuditQuery(action="service.scale"), page=Page(limit=100))
        return found[::-1]

    def tell_activity(self, *, open_requests: int = 0, idle_seconds: float) -> None:
        """Have every node tell this of the service."""
        told = ServiceActivity(
            service_id=self.ground.service.id, open_requests=open_requests, idle_seconds=idle_seconds
        )
        self.app.agents.activities = {node_id: Activity(services=(told,)) for node_id in self.ground.nodes}


async def make_scaled(app: App, *, nodes: int = 2, policy: AutoscalePolicy = POLICY) -> Scaled:
    """The service with its least replicas, healthy."""
    scaled = Scaled(await make_ground(app, nodes=nodes))
    await scaled.put(policy)
    scaled.deployment = await scaled.ground.make_healthy(await scaled.ground.deploy())
    return scaled


def make_notes(app: App) -> ScaleNotes:
    """Where the app's controlds note what they do of themselves."""
    audit = Audit(app.audit_store, clock=app.clock, ids=app.ids)
    return ScaleNotes(logs=DeploymentLogStore(), audit=audit, clock=app.clock)


def make_autoscaling(app: App, *, headroom: Promise | None = None) -> Autoscaling:
    """What one controld does on the app's database."""
    promise = Promise(cpu_percent=100, memory_percent=100)
    return Autoscaling(
        database=app.database,
        launches=LaunchStore(),
        deployments=DeploymentStore(),
        replicas=ReplicaStore(),
        artifacts=ArtifactStore(),
        nodes=NodeStore(),
        leases=LeaseStore(),
        fleet=app.fleet,
        agents=app.agents,
        notes=make_notes(app),
        clock=app.clock,
        ids=app.ids,
        promise=promise,
        headroom=headroom or promise,
        tick_seconds=TICK_SECONDS,
    )


SLEEPY = dataclasses.replace(POLICY, min_replicas=0, scale_down_cooldown_s=30, idle_timeout_s=30)


async def is_asleep(scaled: Scaled) -> bool:
    async with scaled.app.database.read() as tx:
        launch = await LaunchStore().find(tx, scaled.ground.service.id)
    assert launch is not None
    return launch.is_asleep


async def put_to_sleep(scaled: Scaled, autoscaling: Autoscaling) -> None:
    scaled.tell_activity(idle_seconds=999)
    await scaled.pass_ticks(autoscaling, 0, count=4)
    assert await scaled.count() == 0
    assert await is_asleep(scaled)

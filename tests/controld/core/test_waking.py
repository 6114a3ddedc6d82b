"""A service that sleeps is woken once, by nodes alone, and awake when a replica of it takes requests."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from sqlalchemy import insert, select

from controld.core.certificate_keys import CertificateKeys
from controld.core.node_specs import NodeSpecs
from controld.store.engine import Database
from controld.store.launches import LaunchStore
from controld.store.node_specs import NodeSpecStore
from controld.store.projects import ProjectStore
from controld.store.services import ServiceStore
from controld.store.tables import audit, deployments
from kit import tls
from tests.controld.app import App
from tests.controld.scaling import SLEEPY, is_asleep, make_autoscaling, make_scaled, put_to_sleep
from tests.controld.store.rows import NOW, PROJECT, SERVICE
from tests.nodeside import make_agent, node_side
from wire.control.wakes import WAKES_PATH, WakeAsked
from wire.link import ReplicaState


async def test_it_is_woken_once_and_awake_when_a_replica_takes_requests(app: App) -> None:
    scaled, autoscaling, waking = await make_scaled(app, policy=SLEEPY), make_autoscaling(app), app.deploying.waking
    await waking.wake(scaled.ground.service.id)
    assert await scaled.audit() == [], "it is awake"
    await put_to_sleep(scaled, autoscaling)
    await scaled.pass_ticks(autoscaling, 0)
    for _ in range(3):
        await waking.wake(scaled.ground.service.id)
    await app.deploying.upkeep.reconcile()
    (replica,) = await scaled.running()
    assert [record.details["to"] for record in await scaled.audit()] == [0, 1]
    await waking.settle()
    assert await is_asleep(scaled), "its replica starts"
    app.fleet.report(replica.node_id, replica.id, ReplicaState.HEALTHY, serving=False)
    await waking.settle()
    assert await is_asleep(scaled), "nothing leads to it yet"
    app.fleet.report(replica.node_id, replica.id, ReplicaState.HEALTHY, serving=True)
    await waking.settle()
    assert not await is_asleep(scaled)
    await scaled.pass_ticks(autoscaling, 0, count=2)
    assert await scaled.count() == 1, "its idle time begins with its being awake"


async def test_a_deployment_or_another_policy_wakes_it_too(app: App) -> None:
    scaled, autoscaling = await make_scaled(app, policy=SLEEPY), make_autoscaling(app)
    await put_to_sleep(scaled, autoscaling)
    await scaled.ground.make_healthy(await scaled.ground.deploy())
    await app.deploying.upkeep.reconcile()
    assert await scaled.count() == 1
    await app.deploying.waking.settle()
    assert not await is_asleep(scaled)
    await put_to_sleep(scaled, autoscaling)
    await scaled.put(SLEEPY)
    assert await scaled.count() == 0, "the same policy lets it sleep"
    await scaled.put(None)
    assert await scaled.count() == 1
    for replica in await scaled.running():
        app.fleet.report(replica.node_id, replica.id, ReplicaState.HEALTHY)
    await app.deploying.waking.settle()
    assert not await is_asleep(scaled)


async def test_every_node_holds_requests_for_a_service_that_sleeps(app: App) -> None:
    scaled, autoscaling = await make_scaled(app, policy=SLEEPY), make_autoscaling(app)
    await put_to_sleep(scaled, autoscaling)
    specs = NodeSpecs(
        database=app.database, store=NodeSpecStore(), feed=app.database.feed, keys=CertificateKeys(app.secrets)
    )
    for node_id in scaled.ground.nodes:
        (route,) = (await specs.current(node_id)).spec.routes
        assert (route.service_id, route.asleep, route.replicas) == (scaled.ground.service.id, True, ())
        assert route.hosts
    await app.deploying.waking.wake(scaled.ground.service.id)
    await app.deploying.upkeep.reconcile()
    (replica,) = await scaled.running()
    app.fleet.report(replica.node_id, replica.id, ReplicaState.HEALTHY)
    await app.deploying.waking.settle()
    (route,) = (await specs.current(replica.node_id)).spec.routes
    assert (route.asleep, route.replicas) == (False, (replica.id,))


async def test_a_node_wakes_a_service_and_a_stranger_does_not(database: Database, tmp_path: Path) -> None:
    launches = LaunchStore()
    async with node_side(database, tmp_path / "authority") as side:
        agent = make_agent(tmp_path / "agent")
        await agent.enrolment.enrol(await side.token(), name="vm1", port=7190)
        async with database.write() as tx:
            await ProjectStore().add(tx, PROJECT)
            await ServiceStore().add(tx, SERVICE)
            row = {"id": "d1", "service_id": "s1", "number": 1, "request": {}, "status": "Healthy", "attempts": 0}
            await tx.execute(insert(deployments).values(**row, created_at=NOW, phase_at=NOW))
            await launches.promote(tx, "s1", "d1")
            await launches.scale(tx, "s1", count=0, problem=None)

        async def count() -> int:
            async with database.read() as tx:
                launch = await launches.find(tx, "s1")
            assert launch is not None
            assert launch.is_asleep
            return launch.replicas

        async with aiohttp.ClientSession() as session:
            context = tls.unverified_client_context()
            async with session.post(side.url + WAKES_PATH, json={"service_id": "s1"}, ssl=context) as answer:
                assert answer.status == 401
        assert await count() == 0
        for service_id in ("s1", "s1", "s2"):
            await agent.control.send_wake(side.url, WakeAsked(service_id=service_id))
        assert await count() == 1
        async with database.read() as tx:
            rows = (await tx.execute(select(audit.c.details).where(audit.c.action == "service.scale"))).scalars().all()
        assert rows == [{"name": "web", "from": 0, "to": 1, "why": "somebody asks for it"}]

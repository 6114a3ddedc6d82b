"""Promoted deployments keep their replicas while nodes come and go."""

from __future__ import annotations

import dataclasses

from sqlalchemy import update

from controld.model.caller import SETUP_CALLER
from controld.model.node import NodeState
from controld.model.placement import Placement
from controld.model.service import AutoscalePolicy
from controld.store.deployments import DeploymentStore
from controld.store.tables import services
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from wire.link import ReplicaState
from wire.spec import Wanted


async def test_a_drained_replica_is_forgotten_once_its_node_reports_it_no_more(app: App) -> None:
    ground = await make_ground(app)
    first = await ground.make_healthy(await ground.deploy())
    await ground.make_healthy(await ground.deploy())
    upkeep = app.deploying.upkeep
    await upkeep.reconcile()
    (old,) = await ground.replicas(first)
    app.fleet.drop(old.node_id, old.id)
    app.fleet.put(old.node_id, is_current=False)
    await upkeep.reconcile()
    assert len(await ground.replicas(first)) == 1
    app.fleet.put(old.node_id, is_current=True)
    await upkeep.reconcile()
    assert await ground.replicas(first) == []
    assert len(await ground.running()) == 1


async def test_a_lost_nodes_replica_moves_and_the_one_left_behind_drains(app: App) -> None:
    ground = await make_ground(app, nodes=2)
    deployment = await ground.make_healthy(await ground.deploy())
    (before,) = await ground.replicas(deployment)
    app.fleet.put(before.node_id, NodeState.LOST)
    await app.deploying.upkeep.reconcile()
    await app.deploying.upkeep.reconcile()
    by_wanted = {replica.wanted: replica for replica in await ground.replicas(deployment)}
    assert by_wanted[Wanted.DRAINING].id == before.id
    assert by_wanted[Wanted.RUNNING].node_id != before.node_id
    assert len(await ground.replicas(deployment)) == 2


async def test_an_unfinished_deployment_is_left_to_its_own_steps(app: App) -> None:
    ground = await make_ground(app)
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.STARTING)
    await app.deploying.upkeep.reconcile()
    assert await ground.running() == [deployment.id]


async def scale(ground: Ground, **changes: object) -> None:
    draft = dataclasses.replace(ground.draft("web"), **changes)  # type: ignore[arg-type]
    await ground.app.services.put(SETUP_CALLER, draft)
    await ground.app.deploying.upkeep.reconcile()


async def test_more_replicas_start_and_fewer_drain_without_a_deployment(app: App) -> None:
    ground = await make_ground(app, nodes=2)
    deployment = await ground.make_healthy(await ground.deploy())
    await scale(ground, replicas=3)
    assert await ground.running() == [deployment.id] * 3
    assert [each.index for each in await ground.replicas()] == [0, 1, 2]
    await scale(ground, replicas=2)
    assert len(await ground.running()) == 3, "nothing is taken while fewer than wanted are healthy"
    await ground.report(deployment, ReplicaState.HEALTHY)
    await app.deploying.upkeep.reconcile()
    assert await ground.running() == [deployment.id] * 2
    async with app.database.read() as tx:
        assert len(await DeploymentStore().list_of_service(tx, ground.service.id)) == 1


async def test_a_policy_decides_how_many_run_and_what_it_found_outlives_a_restart(app: App) -> None:
    ground = await make_ground(app, nodes=2)
    deployment = await ground.make_healthy(await ground.deploy())
    policy = AutoscalePolicy(
        min_replicas=2, max_replicas=4, target_cpu_pct=50, scale_down_cooldown_s=0, idle_timeout_s=0
    )
    await scale(ground, autoscale=policy, replicas=9)
    assert len(await ground.running()) == 2
    for scaled_to, count in ((3, 3), (99, 4)):
        async with app.database.write() as tx:
            await tx.execute(update(services).values(scaled_to=scaled_to))
        await app.deploying.upkeep.reconcile()
        assert await ground.running() == [deployment.id] * count


async def test_a_service_moves_start_first_to_where_its_labels_lead(app: App) -> None:
    ground = await make_ground(app, nodes=2)
    deployment = await ground.make_healthy(await ground.deploy())
    (before,) = await ground.replicas()
    other = next(node_id for node_id in ground.nodes if node_id != before.node_id)
    app.fleet.nodes[other] = dataclasses.replace(app.fleet.nodes[other], labels={"disk": "ssd"})
    await scale(ground, placement=Placement(labels={"disk": "ssd"}))
    running = [each for each in await ground.replicas() if each.wanted is Wanted.RUNNING]
    assert {each.node_id for each in running} == set(ground.nodes)
    await ground.report(deployment, ReplicaState.HEALTHY)
    await app.deploying.upkeep.reconcile()
    (after,) = [each for each in await ground.replicas() if each.wanted is Wanted.RUNNING]
    assert after.node_id == other
    assert app.deploying.upkeep.shortages == {}

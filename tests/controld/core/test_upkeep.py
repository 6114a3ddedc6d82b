"""Promoted deployments keep their replicas while nodes come and go."""

from __future__ import annotations

from controld.model.node import NodeState
from tests.controld.app import App
from tests.controld.deploying import make_ground
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

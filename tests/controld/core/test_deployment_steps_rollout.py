"""A release of several replicas takes over batch by batch, and gives way whole when one of them fails."""

from __future__ import annotations

import dataclasses

import pytest

from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Status
from controld.rules.node_spec import render_node_spec
from controld.store.node_specs import NodeSpecStore
from tests.controld.app import App
from tests.controld.deploying import Ground, make_draft, make_ground
from wire.link import ReplicaState
from wire.spec import Wanted


@pytest.fixture
async def ground(app: App) -> Ground:
    """A service of three replicas on two nodes, its first release serving."""
    ground = await make_ground(app, nodes=2)
    draft = dataclasses.replace(make_draft(ground.service.project_id, "web"), replicas=3)
    await app.services.put(SETUP_CALLER, draft)
    await ground.make_healthy(await ground.deploy())
    return ground


async def serving(ground: Ground) -> set[str]:
    """The replicas that the nodes' routes name, and that are healthy, as nodes lead to no others."""
    nodes = await ground.app.fleet.list_nodes()
    healthy = {one.id for node in nodes for one in node.replicas.values() if one.state is ReplicaState.HEALTHY}
    found: set[str] = set()
    async with ground.app.database.read() as tx:
        for node_id in ground.nodes:
            spec = render_node_spec(await NodeSpecStore().read(tx, node_id))
            found.update(name for route in spec.routes for name in route.replicas)
    return found & healthy


async def test_the_first_release_starts_whole_and_spreads(ground: Ground) -> None:
    replicas = await ground.replicas()
    assert [each.index for each in replicas] == [0, 1, 2]
    assert len({each.node_id for each in replicas}) == 2


async def test_a_release_goes_on_replica_by_replica_and_three_serve_at_every_moment(ground: Ground) -> None:
    old = {each.id for each in await ground.replicas()}
    deployment = await ground.deploy()
    for here in (1, 2, 3):
        await ground.advance(deployment)
        assert len(await ground.replicas(deployment)) == here
        assert len(await ground.running()) <= 4
        assert len(await serving(ground)) == 3
        await ground.report(deployment, ReplicaState.HEALTHY)
    assert len(await serving(ground) & old) == 1
    assert await ground.advance(deployment) is Status.HEALTHY
    assert await serving(ground) == {each.id for each in await ground.replicas(deployment)}
    assert "HEALTHCHECK 2 of 3 replicas passed" in await ground.log(deployment)


async def test_upkeep_leaves_a_release_that_takes_over_alone(app: App, ground: Ground) -> None:
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.HEALTHY)
    await ground.advance(deployment)
    before = await ground.replicas()
    await app.deploying.upkeep.reconcile()
    assert await ground.replicas() == before


async def test_a_replica_that_fails_in_a_later_batch_takes_the_release_back(app: App, ground: Ground) -> None:
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.HEALTHY)
    await ground.advance(deployment)
    _, second = await ground.replicas(deployment)
    app.fleet.report(second.node_id, second.id, ReplicaState.FAILED, reason="no such file")
    assert await ground.advance(deployment) is Status.FAILED
    assert {each.wanted for each in await ground.replicas(deployment)} == {Wanted.DRAINING}
    running = [each for each in await ground.replicas() if each.wanted is Wanted.RUNNING]
    assert await serving(ground) == {each.id for each in running}
    assert len(running) == 2
    await app.deploying.upkeep.reconcile()
    assert len(await ground.running()) == 3
    assert deployment.id not in await ground.running()


async def test_a_cancelled_release_gives_its_share_of_the_traffic_back(app: App, ground: Ground) -> None:
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.HEALTHY)
    await ground.advance(deployment)
    await app.deploying.deployments.cancel(SETUP_CALLER, deployment.id)
    assert await ground.advance(deployment) is Status.FAILED
    assert deployment.id not in await ground.running()

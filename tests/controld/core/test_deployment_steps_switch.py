"""A deployment is told as healthy when new requests reach it, and a switch is never taken back."""

from __future__ import annotations

import pytest

from controld.core.faults import DeploymentFinished
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Status
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from wire.link import ReplicaState


@pytest.fixture
async def ground(app: App) -> Ground:
    """A service that takes uploads, with one node."""
    return await make_ground(app)


async def test_a_deployment_is_healthy_once_ingress_leads_to_it_and_not_before(app: App, ground: Ground) -> None:
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.HEALTHY, serving=False)
    assert await ground.advance(deployment) is Status.STARTING
    assert await ground.promoted() == deployment.id
    with pytest.raises(DeploymentFinished):
        await app.deploying.deployments.cancel(SETUP_CALLER, deployment.id)
    await ground.report(deployment, ReplicaState.HEALTHY)
    assert await ground.advance(deployment) is Status.HEALTHY
    assert (await ground.log(deployment))[-1] == "HEALTHY deployment 1 takes the traffic"


async def test_ingress_that_says_nothing_is_told_of_and_holds_nothing_up(app: App, ground: Ground) -> None:
    deployment = await ground.deploy()
    await ground.advance(deployment)
    await ground.report(deployment, ReplicaState.HEALTHY, serving=False)
    assert await ground.advance(deployment) is Status.STARTING
    await app.clock.advance(11)
    assert await ground.advance(deployment) is Status.HEALTHY
    assert "has not said" in (await ground.log(deployment))[-1]

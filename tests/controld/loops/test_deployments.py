"""The duties together bring a deployment forward by what they hear."""

from __future__ import annotations

import asyncio

from controld.loops.deployments import DeploymentDuty
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Deployment, Status
from kit.clock import SystemClock
from kit.tasks import Tasks
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from wire.link import ReplicaState


async def _reach(ground: Ground, deployment: Deployment, status: Status) -> None:
    async with asyncio.timeout(10):
        while await ground.status(deployment) is not status:  # noqa: ASYNC110 - the status is a row
            await asyncio.sleep(0.02)


async def test_two_deployments_come_forward_by_themselves_and_in_order(app: App) -> None:
    ground = await make_ground(app)
    tasks = Tasks("test")
    duty = DeploymentDuty(steps=ground.steps, feed=app.database.feed, clock=SystemClock())
    tasks.start("deployments", duty.run())
    try:
        first, second = await ground.deploy(), await ground.deploy()
        for deployment in (first, second):
            await _reach(ground, deployment, Status.STARTING)
            await ground.report(deployment, ReplicaState.HEALTHY)
            await _reach(ground, deployment, Status.HEALTHY)
        assert await ground.status(first) is Status.INACTIVE
    finally:
        await tasks.close()


async def test_a_step_that_breaks_harms_no_other_deployment(app: App) -> None:
    ground = await make_ground(app)
    other = Ground(app, await app.services.put(SETUP_CALLER, ground.draft("other")), ground.nodes)
    broken, fine = await ground.deploy(), await other.deploy()
    advance = ground.steps.advance

    async def break_one(deployment_id: str) -> float | None:
        if deployment_id == broken.id:
            raise RuntimeError("broken")
        return await advance(deployment_id)

    ground.steps.advance = break_one  # type: ignore[method-assign]
    tasks = Tasks("test")
    tasks.start("deployments", DeploymentDuty(steps=ground.steps, feed=app.database.feed, clock=SystemClock()).run())
    try:
        await _reach(other, fine, Status.STARTING)
        assert await ground.status(broken) is Status.PENDING
    finally:
        await tasks.close()

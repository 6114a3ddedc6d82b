"""The duties together bring a deployment forward by what they hear."""

from __future__ import annotations

import asyncio

import pytest

from controld.loops.steps import StepDuty
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import Deployment, Status
from controld.store.deployments import DeploymentStore
from kit.clock import SystemClock
from kit.tasks import Tasks
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from wire.link import ReplicaState


async def _reach(ground: Ground, deployment: Deployment, status: Status) -> None:
    async with asyncio.timeout(10):
        while await ground.status(deployment) is not status:  # noqa: ASYNC110 - the status is a row
            await asyncio.sleep(0.02)


def _make_duty(ground: Ground) -> StepDuty:
    return StepDuty(
        "deployment",
        steps=ground.steps,
        kinds=("deployment", "report", "node", "service"),
        feed=ground.app.database.feed,
        clock=SystemClock(),
    )


def _break(ground: Ground, broken: Deployment) -> None:
    """Let every step of this deployment raise."""
    advance = ground.steps.advance

    async def advance_or_break(deployment_id: str) -> float | None:
        if deployment_id == broken.id:
            raise RuntimeError("broken")
        return await advance(deployment_id)

    ground.steps.advance = advance_or_break  # type: ignore[method-assign]


async def test_two_deployments_come_forward_by_themselves_and_in_order(app: App) -> None:
    ground = await make_ground(app)
    tasks = Tasks("test")
    tasks.start("deployments", _make_duty(ground).run())
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
    _break(ground, broken)
    tasks = Tasks("test")
    tasks.start("deployments", _make_duty(ground).run())
    try:
        await _reach(other, fine, Status.STARTING)
        assert await ground.status(broken) is Status.PENDING
    finally:
        await tasks.close()


async def test_a_deployment_whose_steps_only_break_fails_with_a_word_and_lets_the_next_one_through(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controld.loops.steps.GIVE_UP_SECONDS", 0.0)
    ground = await make_ground(app)
    broken, following = await ground.deploy(), await ground.deploy()
    _break(ground, broken)
    tasks = Tasks("test")
    tasks.start("deployments", _make_duty(ground).run())
    try:
        await _reach(ground, broken, Status.FAILED)
        await _reach(ground, following, Status.STARTING)
        async with app.database.read() as tx:
            found = await DeploymentStore().find(tx, broken.id)
        assert found is not None
        assert found.reason is not None
        assert "RuntimeError" in found.reason
    finally:
        await tasks.close()

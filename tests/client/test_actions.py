"""An operator stops a service, starts it again, goes back, and ends a deployment, from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from client.__main__ import EXIT_FAILED, main
from controld.model.deployment import Deployment, Status
from controld.store.deployments import DeploymentStore
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from tests.waiting import eventually


@pytest.fixture
async def ground(app: App) -> Ground:
    return await make_ground(app)


async def moorage(config: Path, *words: str) -> int:
    """Run the command."""
    return await asyncio.to_thread(main, ["--config", str(config), *words])


async def follow(ground: Ground, config: Path, *words: str) -> int:
    """Run a command that begins a deployment, and carry that out meanwhile."""
    before = {each.id for each in await list_deployments(ground)}
    running = asyncio.ensure_future(moorage(config, *words))

    async def find_begun() -> list[Deployment]:
        return [each for each in await list_deployments(ground) if each.id not in before]

    (begun,) = await eventually(find_begun)
    await ground.make_healthy(begun)
    return await running


async def list_deployments(ground: Ground) -> list[Deployment]:
    async with ground.app.database.read() as tx:
        return [pair[0] for pair in await DeploymentStore().list_of_service(tx, ground.service.id)]


async def test_a_service_is_stopped_started_and_restarted(
    ground: Ground, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = ground.service.name
    await ground.make_healthy(await ground.deploy())
    assert await moorage(config, "start", name) == 0
    assert capfd.readouterr().out == f"{name} runs already\n"
    assert await moorage(config, "stop", name) == 0
    assert capfd.readouterr().out == f"{name} is being stopped\n"
    assert await ground.promoted() is None
    for word in ("start", "restart"):
        assert await follow(ground, config, word, name) == 0
        assert capfd.readouterr().out.splitlines()[-1] == "Healthy"
        assert await ground.promoted() is not None


async def test_a_service_goes_back_to_what_ran_before_or_in_a_deployment_that_is_named(
    ground: Ground, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = ground.service.name
    assert await moorage(config, "rollback", name) == EXIT_FAILED
    assert "no artifact is kept" in capfd.readouterr().err
    first = await ground.make_healthy(await ground.deploy())
    await ground.make_healthy(await ground.deploy())
    assert await follow(ground, config, "rollback", name, first.id) == 0
    newest = (await list_deployments(ground))[0]
    assert (newest.artifact_id, newest.id) != (None, first.id)
    assert newest.artifact_id == (await ground.see(first)).artifact_id
    assert await moorage(config, "rollback", name, "none-such") == EXIT_FAILED
    assert f"`moorage deployments {name}` lists them" in capfd.readouterr().err


async def test_a_deployment_is_cancelled(ground: Ground, config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = ground.service.name
    assert await moorage(config, "cancel", name) == EXIT_FAILED
    assert "cannot find any deployment" in capfd.readouterr().err
    deployment = await ground.deploy()
    assert await moorage(config, "cancel", name) == 0
    assert capfd.readouterr().out == f"{deployment.id} is being cancelled\n"
    assert await ground.advance(deployment) is Status.FAILED
    assert await moorage(config, "cancel", name, deployment.id) == EXIT_FAILED
    assert "cannot cancel" in capfd.readouterr().err

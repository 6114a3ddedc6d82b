"""`moorage deploy` and `moorage deploy-keys`, as an operator uses them."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from client import git
from controld.model.caller import SETUP_CALLER
from controld.model.deployment import GitRequest, ImageRequest
from controld.model.page import Page
from controld.model.service import GitSource
from kit.faults import Invalid
from kit.ssh_keys import make_key
from tests.controld.app import App
from tests.controld.deploying import Ground, git_source, image_source, make_ground


async def _deploy(ground: Ground, config: Path, repository: git.Repository) -> bool:
    """Deploy with the node's part played: the build fails, which ends it."""

    async def work() -> None:
        while True:
            page = await ground.app.deploying.deployments.list_of_service(
                SETUP_CALLER, ground.service.id, Page(limit=1)
            )
            for deployment, _ in page.items:
                await ground.app.deploying.deployments.cancel(SETUP_CALLER, deployment.id)
                await ground.advance(deployment)
                return
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    healthy = await git.deploy(config, "web", repository)
    await working
    return healthy


async def _request(ground: Ground) -> object:
    page = await ground.app.deploying.deployments.list_of_service(SETUP_CALLER, ground.service.id, Page(limit=1))
    return page.items[0][0].request


async def test_a_key_is_made_listed_and_removed(app: App, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await app.add_project("shop")
    await git.add_key(config, "shop", name="default", key_file=None, known_hosts=None, username=None)
    public = capsys.readouterr().out.strip()
    assert public.startswith("ssh-ed25519 ")
    await git.show_keys(config, "shop")
    assert capsys.readouterr().out.startswith("default\tSshDeployKey\tSHA256:")
    await git.remove_key(config, "shop", name="default")
    assert app.secrets.kept == {}


async def test_a_key_and_a_password_are_taken_from_a_file_and_a_pipe(
    app: App, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await app.add_project("shop")
    key, hosts = make_key(), tmp_path / "hosts"
    (tmp_path / "key").write_text(key.private_key)
    hosts.write_text(f"git.example {key.public_key}\n")
    await git.add_key(config, "shop", name="ci", key_file=tmp_path / "key", known_hosts=hosts, username=None)
    assert capsys.readouterr().out == f"{key.public_key} moorage:ci\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("token-1\n"))
    await git.add_key(config, "shop", name="web", key_file=None, known_hosts=None, username="bot")
    assert "token-1" not in capsys.readouterr().out
    assert {"username": "bot", "password": "token-1"} in app.secrets.kept.values()


async def test_deploy_builds_the_stored_repository_at_the_ref_that_is_given(app: App, config: Path) -> None:
    ground = await make_ground(app, source=git_source())
    assert not await _deploy(ground, config, git.Repository(ref="v2"))
    expected = GitRequest(service_id=ground.service.id, repo_url="https://git.example/shop/web.git", git_ref="v2")
    assert await _request(ground) == expected


async def test_deploy_makes_a_repository_the_services_source(app: App, config: Path) -> None:
    ground = await make_ground(app)
    await _deploy(ground, config, git.Repository(url="git@git.example:a", ref="main", context="app", key="ci"))
    service = await app.services.get(SETUP_CALLER, ground.service.id)
    assert service.source == GitSource(
        repo_url="git@git.example:a", git_ref="main", dockerfile_path="Dockerfile", context_path="app", credential="ci"
    )
    assert await _request(ground) == GitRequest(
        service_id=ground.service.id, repo_url="git@git.example:a", git_ref="main"
    )


async def test_deploy_runs_an_image_and_says_what_to_do_for_uploads(app: App, config: Path) -> None:
    ground = await make_ground(app, source=image_source())
    await _deploy(ground, config, git.Repository())
    assert isinstance(await _request(ground), ImageRequest)
    await app.services.put(SETUP_CALLER, ground.draft("uploads"))
    with pytest.raises(Invalid, match="push"):
        await git.deploy(config, "uploads", git.Repository())

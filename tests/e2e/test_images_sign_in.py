"""The docker command against the registry, signed in by Basic or by fetched tokens."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.control import TOKEN, Control, running_control
from tests.fixtures.network import find_free_port


@pytest.fixture(params=["basic", "token"])
async def control(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Control]:
    """A controld that asks for Basic, or for tokens of its own."""
    port = find_free_port()
    settings = {"registry_token_url": f"http://127.0.0.1:{port}/v2/token"} if request.param == "token" else {}
    async with running_control(tmp_path / "control", port=port, **settings) as running:
        yield running


async def _docker(folder: Path, *arguments: str, said: str | None = None) -> tuple[int, str]:
    """The exit status of a docker client with a configuration of its own, and what it told."""
    environment = {**os.environ, "DOCKER_CONFIG": str(folder / "docker")}
    done = await asyncio.to_thread(
        subprocess.run,
        ["docker", *arguments],
        env=environment,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


async def test_docker_signs_in_pushes_and_pulls(control: Control, busybox_image: str, tmp_path: Path) -> None:
    host, image = f"127.0.0.1:{control.port}", f"{control.repository('web')}:v1"
    assert (await _docker(tmp_path, "tag", busybox_image, image))[0] == 0
    try:
        status, told = await _docker(tmp_path, "push", image)
        assert status != 0, told
        login = ("login", "--username", "anyone", "--password-stdin", host)
        status, told = await _docker(tmp_path, *login, said="wrong")
        assert status != 0, told
        status, told = await _docker(tmp_path, *login, said=TOKEN)
        assert status == 0, told
        status, told = await _docker(tmp_path, "push", image)
        assert status == 0, told
        assert (await _docker(tmp_path, "rmi", image))[0] == 0
        status, told = await _docker(tmp_path, "pull", image)
        assert status == 0, told
        assert (await _docker(tmp_path, "logout", host))[0] == 0
        assert (await _docker(tmp_path, "rmi", image))[0] == 0
        assert (await _docker(tmp_path, "pull", image))[0] != 0
    finally:
        await _docker(tmp_path, "rmi", "--force", image)


async def test_a_service_with_capitals_has_a_repository_that_docker_takes(
    control: Control, busybox_image: str, tmp_path: Path
) -> None:
    async with control.http.get("/v1/projects") as answer:
        project_id = next(each["id"] for each in await answer.json() if each["name"] == "shop")
    service = {
        "project_id": project_id,
        "name": "Web_API",
        "source": {"type": "upload"},
        "domains": [],
        "internal_port": 8080,
        "health_check": {"path": "/", "timeout_seconds": 5},
    }
    async with control.http.post("/v1/services", json=service) as answer:
        service_id = (await answer.json())["id"]
    image = f"{control.repository('web-api-' + service_id[-12:])}:v1"
    assert (await _docker(tmp_path, "tag", busybox_image, image))[0] == 0
    try:
        login = ("login", "--username", "anyone", "--password-stdin", f"127.0.0.1:{control.port}")
        assert (await _docker(tmp_path, *login, said=TOKEN))[0] == 0
        status, told = await _docker(tmp_path, "push", image)
        assert status == 0, told
    finally:
        await _docker(tmp_path, "rmi", "--force", image)
    async with control.http.get("/v1/registry/repositories") as answer:
        (listed,) = await answer.json()
    assert (listed["service_name"], listed["repository"]) == ("Web_API", f"shop/web-api-{service_id[-12:]}")

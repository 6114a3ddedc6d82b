"""Images of registries that want a sign-in, pulled by a real node, and what becomes of the sign-in."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest
from aiohttp import web

from client.api import Api
from client.messages import Deployment
from tests.e2e.platform import Platform, await_end, host_of, put_service, write_site
from tests.fakes.image_registry import ImageRegistry
from tests.serving import serve_app

pytestmark = pytest.mark.timeout(300)

_PASSWORD = f"hush-{secrets.token_hex(16)}"
_TOKEN = f"token-{secrets.token_hex(16)}"
_LOGIN = ("robot", _PASSWORD)


@pytest.fixture
async def registry() -> AsyncIterator[ImageRegistry]:
    served = ImageRegistry(login=_LOGIN)
    async with served.serve():
        yield served


@pytest.fixture
async def image(registry: ImageRegistry, docker_engine: docker.DockerClient, tmp_path: Path) -> AsyncIterator[str]:
    """The path and tag in the registry of an image that is nowhere else."""
    path, repository = "team/private:1", f"{registry.host}/team/private"
    write_site(tmp_path / "site", "from a private registry")

    def make() -> None:
        engine: Any = docker_engine.api
        for _ in engine.build(path=str(tmp_path / "site"), tag=f"{repository}:1", decode=True, rm=True):
            pass
        login = {"username": _LOGIN[0], "password": _LOGIN[1]}
        said = list(engine.push(repository, tag="1", auth_config=login, stream=True, decode=True))
        assert not [line for line in said if "error" in line], said
        engine.remove_image(f"{repository}:1", force=True)

    await asyncio.to_thread(make)
    registry.authorizations.clear()
    yield path
    with contextlib.suppress(docker.errors.ImageNotFound):
        await asyncio.to_thread(docker_engine.api.remove_image, f"{repository}:1", force=True)


async def _deploy(api: Api, name: str, registry_id: str, image: str) -> Deployment:
    source = {"type": "external_image", "image": "", "registry_id": registry_id, "image_ref": image}
    service = await put_service(api, name, source=source)
    begun = await api.deploy({"source": "external_image", "service_id": service.id, "image": image})
    return await await_end(api, begun.id)


async def _project_id(api: Api) -> str:
    return next(one.id for one in await api.list_projects() if one.name == "default")


async def test_a_private_image_runs_and_its_sign_in_stays_nowhere(
    platform: Platform, api: Api, registry: ImageRegistry, image: str, docker_engine: docker.DockerClient
) -> None:
    project_id = await _project_id(api)
    kept = await api.create_registry(
        project_id,
        {"name": "ours", "endpoint": registry.host, "auth_kind": "basic", "username": "robot", "password": _PASSWORD},
    )
    deployment = await _deploy(api, "private", kept.id, image)
    assert deployment.status == "Healthy", deployment.reason
    assert f"robot:{_PASSWORD}" in registry.authorizations
    service = next(one for one in await api.list_services() if one.name == "private")
    host = await host_of(api, service)
    async with (
        aiohttp.ClientSession() as session,
        session.get(platform.ingress_url, headers={"Host": host}) as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "from a private registry")

    # The node holds it under the hosted registry's name alone: to run it, one has to be of the project.
    names = await asyncio.to_thread(lambda: [name for each in docker_engine.images.list() for name in each.tags])
    assert not [name for name in names if name.startswith(registry.host)]
    assert await asyncio.to_thread(_find_word, platform.places.state, _PASSWORD) == []
    assert _PASSWORD not in await asyncio.to_thread(_read_command_lines)

    async with aiohttp.ClientSession(platform.api_url, headers={"Authorization": f"Bearer {platform.token}"}) as http:
        async with http.get("/v1/oci/cache/status") as answer:
            cache = await answer.json()
        async with http.post("/v1/oci/cache/gc") as answer:
            collected = await answer.json()
    assert (cache["nodes"], cache["silent_nodes"]) == (1, 0)
    assert cache["entries"] >= 1
    assert cache["total_bytes"] >= 500_000 * cache["entries"]
    assert collected["scanned_entries"] == cache["entries"]
    assert collected["kept_in_use_entries"] >= 1
    assert collected["deleted_entries"] == 0, "a week has not passed"

    # The registry may forget us: a rollback needs nothing of it.
    registry.login = ("robot", "another password")
    again = await api.deploy({"source": "redeploy", "service_id": service.id})
    assert (await await_end(api, again.id)).status == "Healthy"
    refused = await _deploy(api, "private", kept.id, image)
    assert refused.status == "Failed"
    assert "refuses the sign-in" in (refused.reason or "")

    registry.bearer = _TOKEN
    await api.replace_registry(
        project_id, kept.id, {"name": "ours", "endpoint": registry.host, "auth_kind": "token", "token": _TOKEN}
    )
    deployment = await _deploy(api, "private", kept.id, image)
    assert deployment.status == "Healthy", deployment.reason
    assert f"Bearer {_TOKEN}" in registry.authorizations
    await api.delete_service(service.id)
    await api.delete_registry(project_id, kept.id)
    assert await api.list_registries(project_id) == []


def _find_word(folder: Path, word: str) -> list[str]:
    """The files of the platform that hold the word as it is."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def _read_command_lines() -> str:
    told = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            told.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(told)


@pytest.mark.parametrize("asker", ["controld", "engine"])
async def test_a_deployment_is_cancelled_while_its_image_is_asked_for(api: Api, asker: str) -> None:
    held, leave = asyncio.Event(), asyncio.Event()

    async def tell(request: web.Request) -> web.Response:
        if not request.path.endswith("/manifests/1"):
            return web.json_response({})
        is_engine = request.headers.get("User-Agent", "").startswith("docker/")
        if is_engine == (asker == "engine") and not held.is_set():
            held.set()
            await leave.wait()
        return web.Response(status=404)

    silent = web.Application()
    silent.router.add_get("/{path:.*}", tell)
    async with serve_app(silent) as host:
        service = await put_service(api, f"asked-by-{asker}")
        source = {"type": "external_image", "image": f"{host}/silent/app:1"}
        if asker == "controld":  # which looks the digest up where a registry of the project is named
            drafted = {"name": "silent", "endpoint": host, "auth_kind": "anonymous"}
            registry = await api.create_registry(service.project_id, drafted)
            source |= {"image": "", "registry_id": registry.id, "image_ref": "silent/app:1"}
        await put_service(api, service.name, source=source)
        request = {"source": "external_image", "service_id": service.id, "image": "silent/app:1"}
        begun = await api.deploy(request)
        async with asyncio.timeout(30):
            await held.wait()
        assert (await api.get_deployment(begun.id)).status == "Building"
        await api.cancel_deployment(begun.id)
        ended = await await_end(api, begun.id, seconds=10)
        assert (ended.status, ended.reason) == ("Failed", "cancelled by admin")
        again = await api.deploy(request)
        refused = await await_end(api, again.id, seconds=30)
        assert refused.status == "Failed"
        assert "cancelled" not in (refused.reason or ""), "what is still held holds no other deployment up"
        leave.set()

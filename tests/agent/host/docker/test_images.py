"""Images between the real engine and a registry on loopback, and what a registry's refusals become."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from agent.core.faults import EngineUnavailable, ImageNotFound, PullFailed, PushFailed, RegistryDenied, RegistryInside
from agent.host.docker.engine import DockerEngine
from kit.clock import SystemClock
from tests.fakes.image_registry import ImageRegistry
from tests.fixtures.engine import ENGINE_SOCKET

LOGIN = ("robot", "hunter2-secret")


@pytest.fixture
async def registry() -> AsyncIterator[ImageRegistry]:
    served = ImageRegistry(login=LOGIN)
    async with served.serve():
        yield served


@pytest.fixture
def reference(registry: ImageRegistry, engine_node_id: str) -> str:
    return f"{registry.host}/team/{engine_node_id}:1"


@pytest.fixture
async def image_id(
    real_engine: DockerEngine, engine_node_id: str, tmp_path: Path, docker_engine: docker.DockerClient
) -> str:
    """An image of this test's own, so that removing it really removes its layers."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY note /note\n")
    (tmp_path / "note").write_text(engine_node_id)
    tag = f"moorage-test/{engine_node_id}:local"
    build = real_engine.build_image(
        tmp_path, dockerfile="Dockerfile", tag=tag, labels={}, cpu_millis=500, memory_bytes=64 << 20
    )
    async for _ in build:
        pass
    image = await real_engine.find_image(tag)
    assert image is not None
    return image.id


async def test_an_image_goes_to_a_registry_and_comes_back_by_digest(
    real_engine: DockerEngine, registry: ImageRegistry, reference: str, image_id: str, engine_node_id: str
) -> None:
    await real_engine.tag_image(image_id, reference)
    digest = await real_engine.push_image(reference, login=LOGIN, timeout_seconds=60)
    assert (f"team/{engine_node_id}", digest) in registry.manifests

    await real_engine.remove_image(reference)
    await real_engine.remove_image(f"moorage-test/{engine_node_id}:local")
    assert await real_engine.find_image(image_id) is None

    by_digest = f"{reference.rpartition(':')[0]}@{digest}"
    told: list[str] = []
    image = await real_engine.pull_image(by_digest, login=LOGIN, timeout_seconds=60, progress=told.append)
    assert image.id == image_id
    assert by_digest in image.digests
    assert image.size_bytes > 0
    assert any("Pull complete" in line for line in told)
    assert len(told) < 20
    again = await real_engine.find_image(by_digest)
    assert again == image


@pytest.mark.parametrize("login", [None, ("robot", "wrong-secret")], ids=["anonymous", "wrong password"])
async def test_a_registry_that_refuses_the_login_is_told_without_the_password(
    real_engine: DockerEngine, reference: str, image_id: str, login: tuple[str, str] | None
) -> None:
    await real_engine.tag_image(image_id, reference)
    with pytest.raises(RegistryDenied, match=reference) as pulled:
        await real_engine.pull_image(reference, login=login, timeout_seconds=60)
    with pytest.raises(RegistryDenied, match=reference) as pushed:
        await real_engine.push_image(reference, login=login, timeout_seconds=60)
    for fault in (pulled.value, pushed.value):
        assert "wrong-secret" not in fault.message


@pytest.mark.parametrize("given", ["the token itself", "a user and a password"])
async def test_a_registry_that_wants_a_token_gets_one(
    real_engine: DockerEngine, registry: ImageRegistry, reference: str, image_id: str, engine_node_id: str, given: str
) -> None:
    await real_engine.tag_image(image_id, reference)
    digest = await real_engine.push_image(reference, login=LOGIN, timeout_seconds=60)
    await real_engine.remove_image(reference)
    await real_engine.remove_image(f"moorage-test/{engine_node_id}:local")
    by_digest = f"{reference.rpartition(':')[0]}@{digest}"
    registry.bearer = "token-of-" + engine_node_id
    with pytest.raises(RegistryDenied) as refused:
        await real_engine.pull_image(by_digest, login=None, timeout_seconds=60, bearer="token-that-is-wrong")
    assert "token-that-is-wrong" not in refused.value.message
    assert await real_engine.find_image(by_digest) is None
    if given == "the token itself":
        image = await real_engine.pull_image(by_digest, login=None, timeout_seconds=60, bearer=registry.bearer)
    else:
        image = await real_engine.pull_image(by_digest, login=LOGIN, timeout_seconds=60)
    assert image.id == image_id
    assert f"Bearer {registry.bearer}" in registry.authorizations


async def test_what_must_not_be_pulled_is_not_asked_for(
    engine_node_id: str, registry: ImageRegistry, reference: str
) -> None:
    async def refuse(name: str) -> None:
        raise RegistryInside(f"cannot pull image {name}: it lies inside")

    engine = DockerEngine(ENGINE_SOCKET, engine_node_id, clock=SystemClock(), admit_pull=refuse)
    try:
        with pytest.raises(RegistryInside):
            await engine.pull_image(reference, login=LOGIN, timeout_seconds=60)
    finally:
        await engine.close()
    assert registry.asked == 0


async def test_an_image_that_the_registry_lacks_is_not_found(real_engine: DockerEngine, reference: str) -> None:
    with pytest.raises(ImageNotFound, match="manifest unknown"):
        await real_engine.pull_image(reference, login=LOGIN, timeout_seconds=60)


async def test_a_registry_that_does_not_listen_fails_with_its_reason(
    real_engine: DockerEngine, image_id: str, free_port: int, engine_node_id: str
) -> None:
    absent = f"127.0.0.1:{free_port}/team/{engine_node_id}:1"
    with pytest.raises(PullFailed, match="connection refused"):
        await real_engine.pull_image(absent, login=None, timeout_seconds=60)
    await real_engine.tag_image(image_id, absent)
    with pytest.raises(PushFailed, match="connection refused"):
        await real_engine.push_image(absent, login=None, timeout_seconds=60)


async def test_a_registry_that_hangs_ends_the_pull_at_its_deadline(
    real_engine: DockerEngine, registry: ImageRegistry, reference: str
) -> None:
    registry.stalled = True
    with pytest.raises(PullFailed, match=r"did not arrive within 0\.5 s"):
        await real_engine.pull_image(reference, login=LOGIN, timeout_seconds=0.5)


async def test_an_image_in_use_stays(
    real_engine: DockerEngine, docker_engine: docker.DockerClient, image_id: str
) -> None:
    made = docker_engine.api.create_container(image_id, command=["/none"])
    try:
        await real_engine.remove_image(image_id)
        assert await real_engine.find_image(image_id) is not None
    finally:
        docker_engine.api.remove_container(made["Id"])


async def test_an_engine_that_is_away_is_no_fault_of_the_registry(tmp_path: Path) -> None:
    engine = DockerEngine(tmp_path / "absent.sock", "n1", clock=SystemClock())
    with pytest.raises(EngineUnavailable):
        await engine.pull_image("127.0.0.1:9/a:1", login=LOGIN, timeout_seconds=5)
    await engine.close()

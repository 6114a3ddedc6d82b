"""Images pushed and pulled by a real Docker Engine through a real controld, which may be killed meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from tests.e2e.control import TOKEN, Control, running_control

_LAYER_BYTES = 200 * 1024 * 1024
_SMALL_LAYER_BYTES = 20 * 1024 * 1024
_MORE_RSS_BYTES = 64 * 1024 * 1024


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with running_control(tmp_path / "control") as running:
        yield running


@pytest.fixture
def made(docker_engine: docker.DockerClient) -> Iterator[list[str]]:
    """Names of images that are removed from the engine afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        with suppress(docker.errors.ImageNotFound):
            docker_engine.api.remove_image(name, force=True)


async def _push(engine: docker.DockerClient, repository: str, tag: str, *, token: str = TOKEN) -> str:
    """Push; the digest that Docker tells, or its error in a RuntimeError."""
    login = {"username": "anyone", "password": token}
    lines = await _told(lambda: engine.api.push(repository, tag=tag, auth_config=login, stream=True, decode=True))
    return next(str(line["aux"]["Digest"]) for line in lines if "aux" in line)


async def _pull(engine: docker.DockerClient, repository: str, reference: str) -> None:
    login = {"username": "anyone", "password": TOKEN}
    await _told(lambda: engine.api.pull(repository, tag=reference, auth_config=login, stream=True, decode=True))


async def _told(work: Callable[[], Any]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = await asyncio.to_thread(lambda: list(work()))
    if errors := [str(line["error"]) for line in lines if "error" in line]:
        raise RuntimeError(errors[0])
    return lines


async def test_an_image_is_pushed_and_pulled_by_its_digest(
    control: Control, docker_engine: docker.DockerClient, busybox_image: str, made: list[str]
) -> None:
    repository = control.repository("web")
    engine: Any = docker_engine.api
    engine.tag(busybox_image, repository, "v1")
    made.append(f"{repository}:v1")
    wanted = engine.inspect_image(busybox_image)["Id"]

    digest = await _push(docker_engine, repository, "v1")
    engine.remove_image(f"{repository}:v1")
    made.append(f"{repository}@{digest}")
    await _pull(docker_engine, repository, digest)

    pulled = engine.inspect_image(f"{repository}@{digest}")
    assert pulled["Id"] == wanted
    async with control.http.get("/v1/registry/repositories") as answer:
        (listed,) = await answer.json()
    assert listed["repository"] == "shop/web"
    assert [(tag["tag"], tag["digest"]) for tag in listed["tags"]] == [("v1", digest)]


async def test_a_layer_that_no_engine_has_comes_back_whole(
    control: Control, docker_engine: docker.DockerClient, made: list[str], tmp_path: Path
) -> None:
    repository = control.repository("web")
    layer = tmp_path / "layer.tar"
    wanted = await asyncio.to_thread(_make_random_layer, layer)
    name = await asyncio.to_thread(_import, docker_engine, layer, repository, "big")
    made.append(name)
    before = control.rss_peak_bytes()

    digest = await _push(docker_engine, repository, "big")
    docker_engine.api.remove_image(name)
    await _pull(docker_engine, repository, digest)
    made.append(f"{repository}@{digest}")

    more = control.rss_peak_bytes() - before
    print(f"peak RSS grew by {more / 1024**2:.1f} MiB")
    assert more <= _MORE_RSS_BYTES
    container = docker_engine.api.create_container(f"{repository}@{digest}", command=["none"])
    try:
        found = await asyncio.to_thread(_hash_file_of, docker_engine, container["Id"])
    finally:
        docker_engine.api.remove_container(container["Id"], force=True)
    assert found == wanted


async def test_two_services_get_the_same_layers_at_once(
    control: Control, docker_engine: docker.DockerClient, busybox_image: str, made: list[str], tmp_path: Path
) -> None:
    repositories = [control.repository("web"), control.repository("api")]
    for repository in repositories:
        docker_engine.api.tag(busybox_image, repository, "v1")
        made.append(f"{repository}:v1")
    digests = await asyncio.gather(*(_push(docker_engine, repository, "v1") for repository in repositories))
    assert len(set(digests)) == 1
    stored = [path for path in (tmp_path / "control" / "registry").glob("sha256/*/*") if path.is_file()]
    assert len(stored) == 3  # one layer, one configuration, one manifest


async def test_two_clients_push_the_same_layers_at_once(
    control: Control, docker_engine: docker.DockerClient, made: list[str], tmp_path: Path
) -> None:
    layer = tmp_path / "layer.tar"
    await asyncio.to_thread(_make_random_layer, layer, _SMALL_LAYER_BYTES)
    repository = control.repository("web")
    for tag in ("one", "two"):
        await asyncio.to_thread(_import, docker_engine, layer, repository, tag)
    made += [f"{repository}:one", f"{repository}:two"]
    await asyncio.gather(*(_push(docker_engine, repository, tag) for tag in ("one", "two")))
    async with control.http.get("/v1/registry/status") as answer:
        status = await answer.json()
    assert status["blobs"] == 3  # one layer, and the configuration of each import
    assert _SMALL_LAYER_BYTES * 0.9 < status["total_bytes"] < _SMALL_LAYER_BYTES * 1.1
    assert list((control.folder / "registry" / "uploads").iterdir()) == []


async def test_a_wrong_token_is_told_to_docker(
    control: Control, docker_engine: docker.DockerClient, busybox_image: str, made: list[str]
) -> None:
    repository = control.repository("web")
    docker_engine.api.tag(busybox_image, repository, "v1")
    made.append(f"{repository}:v1")
    with pytest.raises(RuntimeError, match=r"unauthorized|no basic auth"):
        await _push(docker_engine, repository, "v1", token="wrong")


async def test_a_service_that_is_not_there_is_told_to_docker(
    control: Control, docker_engine: docker.DockerClient, busybox_image: str, made: list[str]
) -> None:
    repository = control.repository("nothing")
    docker_engine.api.tag(busybox_image, repository, "v1")
    made.append(f"{repository}:v1")
    with pytest.raises(RuntimeError, match="cannot find repository shop/nothing"):
        await _push(docker_engine, repository, "v1")


async def test_an_upload_goes_on_after_controld_was_killed_in_the_middle(control: Control) -> None:
    data = os.urandom(8 * 1024 * 1024)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    async with control.http.post("/v2/shop/web/blobs/uploads/") as answer:
        location = answer.headers["Location"]
    more = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield data[: 5 * 1024 * 1024]
        await more.wait()

    async def send() -> None:
        with suppress(Exception):
            async with control.http.patch(location, data=pieces()) as answer:
                await answer.read()

    sending = asyncio.create_task(send())
    part = next((control.folder / "registry" / "uploads").iterdir())
    for _ in range(500):
        if part.stat().st_size:
            break
        await asyncio.sleep(0.01)
    await control.kill()
    more.set()
    await sending
    await control.start()

    async with control.http.get(location) as answer:
        assert answer.status == 204
        offset = int(answer.headers["Range"].partition("-")[2]) + 1
    assert 0 < offset <= 5 * 1024 * 1024
    span = {"Content-Range": f"{offset}-{len(data) - 1}"}
    async with control.http.put(f"{location}?digest={digest}", data=io.BytesIO(data[offset:]), headers=span) as answer:
        assert answer.status == 201, await answer.text()
    async with control.http.get(f"/v2/shop/web/blobs/{digest}") as answer:
        assert await answer.read() == data


def _make_random_layer(path: Path, size: int = _LAYER_BYTES) -> str:
    """A tar file with one file that does not compress; the file's SHA-256."""
    data = os.urandom(size)
    entry = tarfile.TarInfo("random")
    entry.size = len(data)
    with tarfile.open(path, "w") as archive:
        archive.addfile(entry, io.BytesIO(data))
    return hashlib.sha256(data).hexdigest()


def _import(engine: docker.DockerClient, layer: Path, repository: str, tag: str) -> str:
    with layer.open("rb") as source:
        engine.api.import_image_from_data(source, repository=repository, tag=tag)
    return f"{repository}:{tag}"


def _hash_file_of(engine: docker.DockerClient, container_id: str) -> str:
    stream, _ = engine.api.get_archive(container_id, "/random")
    buffer = io.BytesIO(b"".join(stream))
    with tarfile.open(fileobj=buffer) as archive:
        found = archive.extractfile("random")
        assert found is not None
        return hashlib.sha256(found.read()).hexdigest()

"""The bundled example: built from an uploaded archive, deployed, and reached through ingress."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import tempfile
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from client.api import Api
from client.messages import Service
from kit.archive.pack import pack
from scripts.local.places import Places
from scripts.local.say import die, say

_SOURCE: Final = Path(__file__).resolve().parents[2] / "examples" / "hello"
_BUSYBOX: Final = Path("/bin/busybox")


class Example(msgspec.Struct, kw_only=True):
    """The deployed example."""

    service_id: str
    url: str


async def deploy_example(places: Places, api: Api, *, http_port: int) -> Example:
    """Deploy the example unless it runs as it is now, and wait until its URL answers."""
    project = next(one for one in await api.list_projects() if one.name == "default")
    service = await api.put_service(
        {
            "project_id": project.id,
            "name": "hello",
            "domains": [],
            "source": {"type": "upload"},
            "internal_port": 8080,
            "health_check": {"path": "/", "timeout_seconds": 5},
            "resource_limits": {"cpu_millis": 250, "memory_bytes": 64 * 1024 * 1024},
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        archive = await asyncio.to_thread(_pack_example, Path(scratch))
        content = await asyncio.to_thread(archive.read_bytes)
        digest = hashlib.sha256(content).hexdigest()
        if not await _runs(places, api, service, digest):
            await _deploy(api, service, content)
            _stamp(places).write_text(digest)
    host = next(one.hostname for one in await api.list_domains(service.id) if one.status == "verified")
    await _await_answer(host, http_port)
    return Example(service_id=service.id, url=f"http://{host}:{http_port}/")


def _stamp(places: Places) -> Path:
    return places.state / "example.sha256"


async def _runs(places: Places, api: Api, service: Service, digest: str) -> bool:
    if not _stamp(places).exists() or _stamp(places).read_text() != digest:
        return False
    return any(one.status == "Healthy" for one in await api.list_deployments(service.id))


async def _deploy(api: Api, service: Service, archive: bytes) -> None:
    say("uploading and deploying the example")
    uploaded = await api.upload(service.id, io.BytesIO(archive))
    deployment = await api.deploy(
        {
            "source": "upload",
            "service_id": service.id,
            "upload_id": uploaded.upload_id,
            "dockerfile_path": "Dockerfile",
            "context_path": ".",
        }
    )
    async for event in api.follow_deployment(deployment.id):
        if event.event == "message":
            say(f"    {event.data}")
    ended = await api.get_deployment(deployment.id)
    if ended.status != "Healthy":
        die(f"the example's deployment is {ended.status}: {ended.reason}")


def _pack_example(scratch: Path) -> Path:
    folder = scratch / "hello"
    shutil.copytree(_SOURCE, folder)
    shutil.copyfile(_BUSYBOX, folder / "busybox")
    (folder / "busybox").chmod(0o755)
    archive = scratch / "hello.tar.zst"
    pack(folder, archive)
    return archive


async def _await_answer(host: str, http_port: int) -> None:
    url = f"http://127.0.0.1:{http_port}/"
    last = "no answer"
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(url, headers={"Host": host}) as response:
                        if response.status == 200:
                            return
                        last = f"status {response.status}"
                except aiohttp.ClientError as error:
                    last = str(error)
                await asyncio.sleep(0.1)
    except TimeoutError:
        die(f"the example does not answer at {url} as {host}: {last}")

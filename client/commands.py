"""What the command line does, one function for each command."""

from __future__ import annotations

import asyncio
import getpass
import sys
import tempfile
from pathlib import Path

from client.api import Api
from client.config import Login, write_login
from client.following import print_end, print_log
from client.ignore import read_ignored
from client.messages import Deployment
from client.opening import open_api
from client.services import find_service
from kit.faults import Invalid


async def log_in(config: Path, *, url: str, username: str, use_token: bool) -> None:
    """Ask for a password, or take a token, and keep the login."""
    if not url.startswith(("http://", "https://")):
        raise Invalid(f"cannot log in at {url}: write http:// or https:// ahead of it")
    secret = (
        sys.stdin.readline().strip()
        if not sys.stdin.isatty()
        else getpass.getpass("token: " if use_token else "password: ")
    )
    token = secret
    if not use_token:
        async with Api(url) as anonymous:
            token = (await anonymous.log_in(username=username, password=token)).token
    async with Api(url, token=token) as api:
        await api.list_projects()
    write_login(config, Login(url=url, token=token))
    print(f"logged in at {url}")


async def show_services(config: Path) -> None:
    """A line for each service: project, name, newest deployment, hostnames."""
    async with open_api(config) as api:
        names = {project.id: project.name for project in await api.list_projects()}
        for service in await api.list_services():
            deployments = await api.list_deployments(service.id, limit=1)
            state = deployments[0].status if deployments else "never deployed"
            hosts = [domain.hostname for domain in await api.list_domains(service.id) if domain.status == "verified"]
            print(f"{names.get(service.project_id, '?')}/{service.name}\t{state}\t{' '.join(hosts)}")


async def show_deployments(config: Path, name: str) -> None:
    """A line for each deployment of a service, newest first."""
    async with open_api(config) as api:
        for one in await api.list_deployments((await find_service(api, name)).id):
            print(f"{one.id}\t{one.created_at:%Y-%m-%d %H:%M:%S}\t{one.status}\t{one.reason or ''}")


async def push(config: Path, name: str, *, folder: Path, dockerfile: str) -> bool:
    """Pack the folder, upload it, deploy it, and follow until it has ended; False when it did not become healthy."""
    if not (folder / dockerfile).is_file():
        raise Invalid(f"cannot push {folder}: it has no {dockerfile}")
    async with open_api(config) as api:
        service = await find_service(api, name)
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch) / "context.tar.zst"
            await asyncio.to_thread(_pack, folder, archive)
            with archive.open("rb") as body:
                uploaded = await api.upload(service.id, body)
        deployment = await api.deploy(
            {
                "source": "upload",
                "service_id": service.id,
                "upload_id": uploaded.upload_id,
                "dockerfile_path": dockerfile,
                "context_path": ".",
            }
        )
        return await follow_deployment(api, deployment)


async def redeploy(config: Path, name: str) -> bool:
    """Deploy what runs once more and follow until it has ended."""
    async with open_api(config) as api:
        service = await find_service(api, name)
        return await follow_deployment(api, await api.deploy({"source": "redeploy", "service_id": service.id}))


async def follow_deployment(api: Api, deployment: Deployment) -> bool:
    """Print the deployment's log until it has ended, then how; False when it did not become healthy."""
    await print_log(api.follow_deployment(deployment.id))
    ended = await api.get_deployment(deployment.id)
    print_end(ended)
    return ended.status == "Healthy"


def _pack(folder: Path, archive: Path) -> None:
    from kit.archive.pack import pack

    pack(folder, archive, include=read_ignored(folder))

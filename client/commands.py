"""What the command line does, one function for each command."""

from __future__ import annotations

import asyncio
import getpass
import sys
import tempfile
from pathlib import Path

from client.api import Api
from client.config import Login, read_login, write_login
from client.faults import Refused
from client.ignore import read_ignored
from client.messages import Deployment, Service
from kit.faults import Invalid, NotFound


class NoSuchService(NotFound):
    """No service of that name may be seen."""

    code = "no_such_service"


async def log_in(config: Path, *, url: str, username: str, use_token: bool) -> None:
    """Ask for a password, or take a token, and keep the login."""
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
    async with _open(config) as api:
        names = {project.id: project.name for project in await api.list_projects()}
        for service in await api.list_services():
            deployments = await api.list_deployments(service.id)
            state = deployments[0].status if deployments else "never deployed"
            hosts = [domain.hostname for domain in await api.list_domains(service.id) if domain.status == "verified"]
            print(f"{names.get(service.project_id, '?')}/{service.name}\t{state}\t{' '.join(hosts)}")


async def show_deployments(config: Path, name: str) -> None:
    """A line for each deployment of a service, newest first."""
    async with _open(config) as api:
        for one in await api.list_deployments((await _find(api, name)).id):
            print(f"{one.id}\t{one.created_at:%Y-%m-%d %H:%M:%S}\t{one.status}\t{one.reason or ''}")


async def push(config: Path, name: str, *, folder: Path, dockerfile: str) -> bool:
    """Pack the folder, upload it, deploy it, and follow until it has ended; False when it did not become healthy."""
    if not (folder / dockerfile).is_file():
        raise Invalid(f"cannot push {folder}: it has no {dockerfile}")
    async with _open(config) as api:
        service = await _find(api, name)
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
        return await _follow(api, deployment)


async def redeploy(config: Path, name: str) -> bool:
    """Deploy what runs once more and follow until it has ended."""
    async with _open(config) as api:
        service = await _find(api, name)
        return await _follow(api, await api.deploy({"source": "redeploy", "service_id": service.id}))


async def follow_logs(config: Path, name: str) -> None:
    """Print a service's log, the last lines and then each as it comes, until interrupted."""
    async with _open(config) as api:
        service = await _find(api, name)
        async for event in api.follow_logs(service.id):
            print(event.data, flush=True)


def _open(config: Path) -> Api:
    login = read_login(config)
    return Api(login.url, token=login.token)


async def _find(api: Api, name: str) -> Service:
    project, _, service = name.rpartition("/")
    projects = {one.id: one.name for one in await api.list_projects()}
    found = [
        one
        for one in await api.list_services()
        if service in {one.name, one.id} and (not project or projects.get(one.project_id) == project)
    ]
    if not found:
        raise NoSuchService(f"cannot find the service {name}: `moorage services` lists those you may see")
    if len(found) > 1:
        raise Invalid(f"cannot tell which {name} is meant: write project/{name}")
    return found[0]


async def _follow(api: Api, deployment: Deployment) -> bool:
    try:
        async for event in api.follow_deployment(deployment.id):
            if event.event == "message":
                print(event.data, flush=True)
    except Refused as refused:
        if refused.remote_status != 429:
            raise
        print(f"not following: {refused.message}", file=sys.stderr)
    ended = await api.get_deployment(deployment.id)
    print(f"{ended.status}{f': {ended.reason}' if ended.reason else ''}")
    return ended.status == "Healthy"


def _pack(folder: Path, archive: Path) -> None:
    from kit.archive.pack import pack

    pack(folder, archive, include=read_ignored(folder))

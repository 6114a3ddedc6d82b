"""`moorage deploy` and `moorage deploy-keys`: services that are built from repositories, and what opens those."""

from __future__ import annotations

import asyncio
import dataclasses
import getpass
import sys
from pathlib import Path
from typing import Any

from client.commands import follow_deployment
from client.messages import GitCredential
from client.opening import open_api
from client.projects import find_project
from client.services import find_service
from kit.faults import Invalid


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What a service is to be built from, as far as it is given; what is absent stays as it is."""

    url: str | None = None
    ref: str | None = None
    dockerfile: str | None = None
    context: str | None = None
    key: str | None = None


async def deploy(config: Path, name: str, repository: Repository) -> bool:
    """Deploy what the service's source names, at the ref that is given, and follow until it has ended.

    With an address, that repository becomes the service's source first. False when it did not become healthy.
    """
    async with open_api(config) as api:
        service = await api.get_service((await find_service(api, name)).id)
        source = _change_source(service["source"], repository)
        if source != service["source"]:
            await api.put_service({**service, "source": source})
        return await follow_deployment(api, await api.deploy(_make_request(service["id"], source, repository.ref)))


async def show_keys(config: Path, project: str) -> None:
    """A line for each credential: name, kind, fingerprint or user, and the public half."""
    async with open_api(config) as api:
        for one in await api.list_git_credentials(await find_project(api, project)):
            print(_line(one))


async def add_key(
    config: Path, project: str, *, name: str, key_file: Path | None, known_hosts: Path | None, username: str | None
) -> None:
    """Keep a private key, or with `username` a password that is asked for or read from a pipe, or have a key made.

    What is printed is for the repository's host: the public half.
    """
    credential: dict[str, Any] = {"name": name}
    if key_file is not None:
        credential["private_key"] = await asyncio.to_thread(key_file.read_text)
    if known_hosts is not None:
        credential["known_hosts"] = await asyncio.to_thread(known_hosts.read_text)
    if username is not None:
        password = await asyncio.to_thread(_read_password)
        credential |= {"username": username, "password": password}
    async with open_api(config) as api:
        made = await api.add_git_credential(await find_project(api, project), credential)
    print(made.public_key or f"kept the password of {made.username}")


async def remove_key(config: Path, project: str, *, name: str) -> None:
    """Forget a credential."""
    async with open_api(config) as api:
        await api.delete_git_credential(await find_project(api, project), name)
    print(f"removed {name}")


def _change_source(source: dict[str, Any], repository: Repository) -> dict[str, Any]:
    if repository.url is None and source["type"] != "git":
        return source
    known = source if source["type"] == "git" else {}
    return {
        "type": "git",
        "repo_url": repository.url or known["repo_url"],
        "git_ref": known.get("git_ref") or repository.ref or "HEAD",
        "dockerfile_path": repository.dockerfile or known.get("dockerfile_path") or "Dockerfile",
        "context_path": repository.context or known.get("context_path") or ".",
        "credential": repository.key or known.get("credential") or "default",
    }


def _make_request(service_id: str, source: dict[str, Any], ref: str | None) -> dict[str, Any]:
    match source:
        case {"type": "git", "repo_url": url, "git_ref": stored}:
            return {"source": "git", "service_id": service_id, "repo_url": url, "git_ref": ref or stored}
        case {"type": "external_image", "image": image}:
            return {"source": "external_image", "service_id": service_id, "image": image}
        case _:
            raise Invalid("cannot deploy: the service takes uploads; `moorage push` a folder, or give --git URL")


def _line(credential: GitCredential) -> str:
    told = credential.fingerprint_sha256 or credential.username or ""
    return "\t".join((credential.name, credential.kind, told, credential.public_key or ""))


def _read_password() -> str:
    return getpass.getpass("password or token: ") if sys.stdin.isatty() else sys.stdin.readline().strip()

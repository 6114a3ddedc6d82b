"""`moorage registries` and `moorage registry-login`: what a project pulls images from, and what signs in there."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from client.opening import open_api
from client.projects import find_project


async def show_registries(config: Path, project: str) -> None:
    """A line for each registry of the project: name, endpoint, how it is signed in to, id."""
    async with open_api(config) as api:
        for one in await api.list_registries(await find_project(api, project)):
            print(f"{one.name}\t{one.endpoint}\t{one.auth_kind}\t{one.id}")


async def log_in_to_registry(
    config: Path, project: str, *, name: str, endpoint: str, auth_kind: str, username: str | None
) -> None:
    """Keep the registry in place of the project's one of that name; the password or token is asked for, or piped in."""
    body = {"name": name, "endpoint": endpoint, "auth_kind": auth_kind}
    if auth_kind != "anonymous":
        secret = "password" if auth_kind == "basic" else "token"
        body[secret] = sys.stdin.readline().strip() if not sys.stdin.isatty() else getpass.getpass(f"{secret}: ")
    if username is not None:
        body["username"] = username
    async with open_api(config) as api:
        project_id = await find_project(api, project)
        known = {one.name: one.id for one in await api.list_registries(project_id)}
        if name in known:
            kept = await api.replace_registry(project_id, known[name], body)
        else:
            kept = await api.create_registry(project_id, body)
    print(f"{kept.name} is kept as {kept.id}")

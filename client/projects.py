"""`moorage projects`, and projects as the command line names them."""

from __future__ import annotations

from pathlib import Path

from client.api import Api
from client.opening import open_api
from kit.faults import NotFound


class NoSuchProject(NotFound):
    """No project of that name may be seen."""

    code = "no_such_project"


async def show_projects(config: Path) -> None:
    """A line for each project that the caller may see: name, id, what it is for."""
    async with open_api(config) as api:
        for project in await api.list_projects():
            print(f"{project.name}\t{project.id}\t{project.description or ''}")


async def find_project(api: Api, name: str) -> str:
    """The id of the project with this name or id; raises NoSuchProject."""
    for project in await api.list_projects():
        if name in {project.name, project.id}:
            return project.id
    raise NoSuchProject(f"cannot find the project {name}: `moorage projects` lists those you may see")

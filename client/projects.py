"""Projects as the command line names them."""

from __future__ import annotations

from client.api import Api
from kit.faults import NotFound


class NoSuchProject(NotFound):
    """No project of that name may be seen."""

    code = "no_such_project"


async def find_project(api: Api, name: str) -> str:
    """The id of the project with this name or id; raises NoSuchProject."""
    for project in await api.list_projects():
        if name in {project.name, project.id}:
            return project.id
    raise NoSuchProject(f"cannot find the project {name}")

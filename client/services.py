"""Services as the command line names them."""

from __future__ import annotations

from client.api import Api
from client.messages import Service
from kit.faults import Invalid, NotFound


class NoSuchService(NotFound):
    """No service of that name may be seen."""

    code = "no_such_service"


async def find_service(api: Api, name: str) -> Service:
    """The service of that name, `project/name` or id."""
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

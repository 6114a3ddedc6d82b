"""Projects and their members."""

from __future__ import annotations

from controld.api.v1.shapes import DeletedShape, MembershipShape
from controld.api.v1.shapes_project import (
    MemberAsked,
    ProjectAsked,
    ProjectChangeAsked,
    ProjectShape,
    RemovedShape,
    read_project_change,
    render_membership,
    render_project,
)
from controld.core.faults import InUse, LastAdmin, NameTaken, ProjectNotFound, UserNotFound
from controld.core.members import Members
from controld.core.projects import Projects
from kit.faults import Forbidden, Invalid
from kit.http.surface import Ask, Route

_PATH = "/v1/projects/{project_id}"


def routes(projects: Projects, members: Members) -> tuple[Route, ...]:
    """The rows of this file."""
    return (*_project_routes(projects), *_member_routes(members))


def _project_routes(projects: Projects) -> tuple[Route, ...]:
    async def list_projects(ask: Ask) -> list[ProjectShape]:
        return [render_project(project) for project in await projects.list(ask.caller)]

    async def create_project(ask: Ask) -> ProjectShape:
        body: ProjectAsked = ask.body
        project = await projects.create(
            ask.caller,
            name=body.name,
            description=body.description,
            shared_env=body.shared_env or (),
            default_resource_limits=body.default_resource_limits,
        )
        return render_project(project)

    async def get_project(ask: Ask) -> ProjectShape:
        return render_project(await projects.get(ask.caller, ask.path["project_id"]))

    async def update_project(ask: Ask) -> ProjectShape:
        change = read_project_change(ask.body)
        return render_project(await projects.update(ask.caller, ask.path["project_id"], change))

    async def delete_project(ask: Ask) -> DeletedShape:
        await projects.delete(ask.caller, ask.path["project_id"])
        return DeletedShape()

    return (
        Route(
            method="GET",
            path="/v1/projects",
            access="any",
            handler=list_projects,
            summary="The projects in which the caller has a role, by name",
            answer=list[ProjectShape],
        ),
        Route(
            method="POST",
            path="/v1/projects",
            access="super-admin",
            handler=create_project,
            summary="Create a project",
            body=ProjectAsked,
            answer=ProjectShape,
            status=201,
            faults=(Invalid, Forbidden, NameTaken),
        ),
        Route(
            method="GET",
            path=_PATH,
            access="viewer",
            handler=get_project,
            summary="One project; env values are hidden below operator",
            answer=ProjectShape,
            faults=(ProjectNotFound,),
        ),
        Route(
            method="PUT",
            path=_PATH,
            access="admin",
            handler=update_project,
            summary="Change what a project's services share",
            body=ProjectChangeAsked,
            answer=ProjectShape,
            faults=(Invalid, Forbidden, ProjectNotFound),
        ),
        Route(
            method="DELETE",
            path=_PATH,
            access="admin",
            handler=delete_project,
            summary="Delete a project that has no services and no jobs",
            answer=DeletedShape,
            faults=(Forbidden, ProjectNotFound, InUse),
        ),
    )


def _member_routes(members: Members) -> tuple[Route, ...]:
    async def list_members(ask: Ask) -> list[MembershipShape]:
        return [render_membership(each) for each in await members.list(ask.caller, ask.path["project_id"])]

    async def put_member(ask: Ask) -> MembershipShape:
        body: MemberAsked = ask.body
        return render_membership(
            await members.put(ask.caller, ask.path["project_id"], user_id=str(body.user_id), role=body.role)
        )

    async def remove_member(ask: Ask) -> RemovedShape:
        await members.remove(ask.caller, ask.path["project_id"], user_id=ask.path["user_id"])
        return RemovedShape()

    return (
        Route(
            method="GET",
            path=f"{_PATH}/members",
            access="viewer",
            handler=list_members,
            summary="The project's members",
            answer=list[MembershipShape],
            faults=(ProjectNotFound,),
        ),
        Route(
            method="POST",
            path=f"{_PATH}/members",
            access="admin",
            handler=put_member,
            summary="Give a user a role, in place of the one they had",
            body=MemberAsked,
            answer=MembershipShape,
            status=201,
            faults=(Forbidden, ProjectNotFound, UserNotFound, LastAdmin),
        ),
        Route(
            method="DELETE",
            path=f"{_PATH}/members/{{user_id}}",
            access="admin",
            handler=remove_member,
            summary="Take a user's role",
            answer=RemovedShape,
            faults=(Forbidden, ProjectNotFound, LastAdmin),
        ),
    )

"""The first admin, and users."""

from __future__ import annotations

from controld.api.v1.shapes import (
    BootstrapAsked,
    DeletedShape,
    UserAsked,
    UserShape,
    UserSummaryShape,
    render_user,
)
from controld.core.faults import AlreadyInitialised, LastAdmin, NameTaken, UserNotFound
from controld.core.users import Users
from kit.faults import Forbidden, Invalid
from kit.http.surface import Ask, Route


def routes(users: Users) -> tuple[Route, ...]:
    """The rows of this file."""

    async def bootstrap(ask: Ask) -> UserShape:
        body: BootstrapAsked = ask.body
        return render_user(await users.bootstrap(ask.caller, username=body.username, password=body.password))

    async def list_users(ask: Ask) -> list[UserShape]:
        return [render_user(user) for user in await users.list(ask.caller)]

    async def create_user(ask: Ask) -> UserShape:
        body: UserAsked = ask.body
        return render_user(
            await users.create(
                ask.caller, username=body.username, password=body.password, is_super_admin=body.is_super_admin or False
            )
        )

    async def list_directory(ask: Ask) -> list[UserSummaryShape]:
        found = await users.list_directory(ask.caller)
        return [UserSummaryShape(id=user.id, username=user.username) for user in found]

    async def delete_user(ask: Ask) -> DeletedShape:
        await users.delete(ask.caller, ask.path["user_id"])
        return DeletedShape()

    return (
        Route(
            method="POST",
            path="/v1/bootstrap",
            access="super-admin",
            handler=bootstrap,
            summary="Create the first admin, once in the life of a database",
            body=BootstrapAsked,
            answer=UserShape,
            status=201,
            faults=(Invalid, Forbidden, AlreadyInitialised, NameTaken),
        ),
        Route(
            method="GET",
            path="/v1/users",
            access="super-admin",
            handler=list_users,
            summary="All users by username",
            answer=list[UserShape],
            faults=(Forbidden,),
        ),
        Route(
            method="POST",
            path="/v1/users",
            access="super-admin",
            handler=create_user,
            summary="Create a user",
            body=UserAsked,
            answer=UserShape,
            status=201,
            faults=(Invalid, Forbidden, NameTaken),
        ),
        Route(
            method="GET",
            path="/v1/users/directory",
            access="admin of a project",
            handler=list_directory,
            summary="Names of all users, for those who choose members",
            answer=list[UserSummaryShape],
            faults=(Forbidden,),
        ),
        Route(
            method="DELETE",
            path="/v1/users/{user_id}",
            access="super-admin",
            handler=delete_user,
            summary="Delete a user with their sessions, tokens and memberships",
            answer=DeletedShape,
            faults=(Forbidden, UserNotFound, LastAdmin),
        ),
    )

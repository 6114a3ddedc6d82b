"""The first admin, and users."""

from __future__ import annotations

from controld.api.v1.shapes import (
    BootstrapAsked,
    DeletedShape,
    RevokedSessionsShape,
    TokenShape,
    UserAsked,
    UserChangeAsked,
    UserShape,
    UserSummaryShape,
    render_token,
    render_user,
)
from controld.core.faults import AlreadyInitialised, LastAdmin, NameTaken, PasswordsBusy, UserNotFound
from controld.core.users import Users
from controld.model.user import UserChange
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

    async def update_user(ask: Ask) -> UserShape:
        body: UserChangeAsked = ask.body
        change = UserChange(password=body.password, is_super_admin=body.is_super_admin)
        return render_user(await users.update(ask.caller, ask.path["user_id"], change))

    async def list_user_tokens(ask: Ask) -> list[TokenShape]:
        return [render_token(token) for token in await users.list_tokens(ask.caller, ask.path["user_id"])]

    async def revoke_user_sessions(ask: Ask) -> RevokedSessionsShape:
        return RevokedSessionsShape(revoked=await users.revoke_sessions(ask.caller, ask.path["user_id"]))

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
            faults=(Invalid, Forbidden, AlreadyInitialised, NameTaken, PasswordsBusy),
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
            faults=(Invalid, Forbidden, NameTaken, PasswordsBusy),
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
            method="PATCH",
            path="/v1/users/{user_id}",
            access="super-admin",
            handler=update_user,
            summary="Replace a user's password, which ends their sessions, or make or unmake them a super-admin",
            body=UserChangeAsked,
            answer=UserShape,
            faults=(Invalid, Forbidden, UserNotFound, LastAdmin, PasswordsBusy),
        ),
        Route(
            method="GET",
            path="/v1/users/{user_id}/api-tokens",
            access="super-admin",
            handler=list_user_tokens,
            summary="A user's API tokens, newest first",
            answer=list[TokenShape],
            faults=(Forbidden, UserNotFound),
        ),
        Route(
            method="DELETE",
            path="/v1/users/{user_id}/sessions",
            access="super-admin",
            handler=revoke_user_sessions,
            summary="End all sessions of a user",
            answer=RevokedSessionsShape,
            faults=(Forbidden, UserNotFound),
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

"""Signing in and out, and the caller's own account."""

from __future__ import annotations

from aiohttp import hdrs

from controld.api.v1.shapes import (
    ChangedShape,
    LoggedOutShape,
    LoginAsked,
    MeShape,
    PasswordAsked,
    RevokedSessionsShape,
    SessionShape,
    SignedInShape,
    render_me,
    render_session,
    render_signed_in,
)
from controld.core.faults import (
    CredentialPresent,
    NotAPerson,
    PasswordsBusy,
    SessionNotFound,
    TooManyLogins,
    WrongCredentials,
    WrongPassword,
)
from controld.core.sessions import Sessions
from controld.core.users import Users
from kit.faults import Forbidden, Invalid
from kit.http.surface import PUBLIC, Ask, Route


def routes(sessions: Sessions, users: Users) -> tuple[Route, ...]:
    """The rows of this file."""

    async def sign_in(ask: Ask) -> SignedInShape:
        if hdrs.AUTHORIZATION in ask.request.headers:
            raise CredentialPresent("cannot sign in: leave out the Authorization header")
        body: LoginAsked = ask.body
        return render_signed_in(await sessions.sign_in(body.username, body.password, address=ask.peer))

    async def sign_out(ask: Ask) -> LoggedOutShape:
        await sessions.sign_out(ask.caller)
        return LoggedOutShape()

    async def list_sessions(ask: Ask) -> list[SessionShape]:
        return [render_session(session, ask.caller) for session in await sessions.list(ask.caller)]

    async def revoke_session(ask: Ask) -> RevokedSessionsShape:
        return RevokedSessionsShape(revoked=await sessions.revoke(ask.caller, ask.path["session"]))

    async def revoke_sessions(ask: Ask) -> RevokedSessionsShape:
        return RevokedSessionsShape(revoked=await sessions.revoke_all(ask.caller))

    async def get_me(ask: Ask) -> MeShape:
        return render_me(ask.caller, admin_initialized=await users.is_initialised())

    async def change_password(ask: Ask) -> ChangedShape:
        body: PasswordAsked = ask.body
        await sessions.change_password(ask.caller, current=body.current_password, new=body.new_password)
        return ChangedShape()

    return (
        Route(
            method="POST",
            path="/v1/auth/login",
            access=PUBLIC,
            handler=sign_in,
            summary="Sign in with a password",
            body=LoginAsked,
            answer=SignedInShape,
            faults=(CredentialPresent, WrongCredentials, TooManyLogins, PasswordsBusy),
            throttled=False,
        ),
        Route(
            method="POST",
            path="/v1/auth/logout",
            access="any",
            handler=sign_out,
            summary="End the session that was presented",
            answer=LoggedOutShape,
        ),
        Route(
            method="GET",
            path="/v1/auth/sessions",
            access="person",
            handler=list_sessions,
            summary="The caller's own sessions",
            answer=list[SessionShape],
            faults=(Forbidden, NotAPerson),
        ),
        Route(
            method="DELETE",
            path="/v1/auth/sessions",
            access="person",
            handler=revoke_sessions,
            summary="End all of the caller's own sessions",
            answer=RevokedSessionsShape,
            faults=(Forbidden, NotAPerson),
        ),
        Route(
            method="DELETE",
            path="/v1/auth/sessions/{session}",
            access="person",
            handler=revoke_session,
            summary="End one of the caller's own sessions, by the id under which it is listed",
            answer=RevokedSessionsShape,
            faults=(Forbidden, NotAPerson, SessionNotFound),
        ),
        Route(
            method="GET",
            path="/v1/me",
            access="any",
            handler=get_me,
            summary="Who the caller is",
            answer=MeShape,
        ),
        Route(
            method="PUT",
            path="/v1/me/password",
            access="person",
            handler=change_password,
            summary="Change the caller's own password and end their other sessions",
            body=PasswordAsked,
            answer=ChangedShape,
            faults=(Invalid, Forbidden, WrongPassword, NotAPerson, TooManyLogins, PasswordsBusy),
        ),
    )

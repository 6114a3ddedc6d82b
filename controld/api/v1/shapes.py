"""The JSON of people and credentials, and what it says of our records."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec

from controld.core.sessions import SignedIn
from controld.core.tokens import IssuedToken
from controld.model.caller import Caller, CallerKind
from controld.model.role import Role
from controld.model.user import ApiToken, Session, User
from controld.rules.access import is_super_admin, role_in
from wire.base import Lenient

Id = UUID
"""An id as it is asked for, in either case; `str` of it is the lowercase form that is kept and told."""


class LoginAsked(Lenient, frozen=True):
    """A sign-in."""

    username: str
    password: str


class SignedInShape(Lenient, frozen=True):
    """A fresh session; the token is told this once."""

    token: str
    expires_at: dt.datetime


class LoggedOutShape(Lenient, frozen=True):
    """The session, if there was one, has ended."""

    logged_out: bool = True


class SessionShape(Lenient, frozen=True):
    """One of the caller's sessions; `id` is the first 8 characters of its token's hash."""

    id: str
    expires_at: dt.datetime
    created_at: dt.datetime
    last_used_at: dt.datetime
    current: bool


class RevokedSessionsShape(Lenient, frozen=True):
    """How many sessions have ended."""

    revoked: int


class PasswordAsked(Lenient, frozen=True):
    """A change of the caller's own password."""

    current_password: str
    new_password: str


class ChangedShape(Lenient, frozen=True):
    """It has been changed."""

    changed: bool = True


class DeletedShape(Lenient, frozen=True):
    """It is gone."""

    deleted: bool = True


class RevokedShape(Lenient, frozen=True):
    """It is not valid any more."""

    revoked: bool = True


class MeUserShape(Lenient, frozen=True):
    """The signed-in person."""

    id: str
    username: str
    created_at: dt.datetime


class BootstrapPrincipal(Lenient, frozen=True, tag_field="kind", tag="bootstrap"):
    """The holder of the setup secret."""


class UserPrincipal(Lenient, frozen=True, tag_field="kind", tag="user"):
    """A person."""

    user: MeUserShape


class MembershipShape(Lenient, frozen=True):
    """A user's role in a project."""

    user_id: str
    project_id: str
    role: Role


class MeShape(Lenient, frozen=True):
    """Who the caller is and what they may do."""

    principal: BootstrapPrincipal | UserPrincipal
    is_super_admin: bool
    admin_initialized: bool
    memberships: list[MembershipShape]


class BootstrapAsked(Lenient, frozen=True):
    """The first admin."""

    username: str
    password: str


class UserAsked(Lenient, frozen=True):
    """A new user."""

    username: str
    password: str
    is_super_admin: bool | None = None
    """Null and absent mean false."""


class UserChangeAsked(Lenient, frozen=True):
    """What becomes of a user; null and absent leave it."""

    password: str | None = None
    is_super_admin: bool | None = None


class UserShape(Lenient, frozen=True):
    """A user."""

    id: str
    username: str
    is_super_admin: bool
    created_at: dt.datetime


class UserSummaryShape(Lenient, frozen=True):
    """A user, for those who choose members."""

    id: str
    username: str


class TokenAsked(Lenient, frozen=True):
    """A new API token; what is absent or null is no limit."""

    name: str
    expires_at: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
    project_id: Id | None = None
    role: Role | None = None


class IssuedTokenShape(Lenient, frozen=True):
    """A fresh API token; the secret is told this once."""

    id: str
    name: str
    token: str
    expires_at: dt.datetime | None


class TokenShape(Lenient, frozen=True):
    """An API token without its secret."""

    id: str
    user_id: str
    name: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    project_id: str | None
    role: Role | None


def render_signed_in(signed_in: SignedIn) -> SignedInShape:
    """A fresh session."""
    return SignedInShape(token=signed_in.token, expires_at=signed_in.session.expires_at)


def render_session(session: Session, caller: Caller) -> SessionShape:
    """A session in its owner's list."""
    return SessionShape(
        id=session.token_sha256[:8],
        expires_at=session.expires_at,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        current=session.id == caller.token_id,
    )


def render_me(caller: Caller, *, admin_initialized: bool) -> MeShape:
    """The caller as they see themselves, under the limits of their token."""
    principal: BootstrapPrincipal | UserPrincipal = BootstrapPrincipal()
    if caller.kind is CallerKind.USER and caller.user_id and caller.username and caller.user_created_at:
        principal = UserPrincipal(
            user=MeUserShape(id=caller.user_id, username=caller.username, created_at=caller.user_created_at)
        )
    return MeShape(
        principal=principal,
        is_super_admin=is_super_admin(caller),
        admin_initialized=admin_initialized,
        memberships=[
            MembershipShape(user_id=caller.user_id or "", project_id=project_id, role=role)
            for project_id in sorted(caller.memberships)
            if (role := role_in(caller, project_id)) is not None
        ],
    )


def render_user(user: User) -> UserShape:
    """A user."""
    return UserShape(id=user.id, username=user.username, is_super_admin=user.is_super_admin, created_at=user.created_at)


def render_issued_token(issued: IssuedToken) -> IssuedTokenShape:
    """A fresh token with its secret."""
    token = issued.token
    return IssuedTokenShape(id=token.id, name=token.name, token=issued.secret, expires_at=token.expires_at)


def render_token(token: ApiToken) -> TokenShape:
    """A token in the list, without its secret."""
    return TokenShape(
        id=token.id,
        user_id=token.user_id,
        name=token.name,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        project_id=token.project_id,
        role=token.role_ceiling,
    )

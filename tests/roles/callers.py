"""Every kind of caller that a route can meet, with what each of them holds in the project `home`."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Final

from controld.model.caller import SETUP_CALLER, Caller
from controld.model.role import Role
from controld.model.user import User
from kit.http.surface import PUBLIC
from tests.controld.app import PASSWORD, SETUP_SECRET, App, bearer

UNKNOWN: Final = "asked for a credential"
FORBIDDEN: Final = "forbidden"
HIDDEN: Final = "not found"
ADMITTED: Final = "admitted"

_WEEK_AND_A_DAY: Final = 8 * 86_400


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """One kind of caller: the credential it sends, and what stands behind it."""

    name: str
    credential: str | None
    """The token or secret; absent: none is sent."""
    is_known: bool = True
    role: Role | None = None
    """In `home`, under the limits of the token."""
    highest: Role | None = None
    """In any project."""
    is_super_admin: bool = False
    is_person: bool = False
    """A user, with a token without limits."""
    user: User | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The credential as `/v1` wants it."""
        return {} if self.credential is None else bearer(self.credential)


_MAY: Final[Mapping[str, Callable[[Who], bool]]] = {
    "any": lambda _: True,
    "person": lambda who: who.is_person,
    "member of a project": lambda who: who.highest is not None,
    "operator of a project": lambda who: who.highest is not None and who.highest.rank >= Role.OPERATOR.rank,
    "admin of a project": lambda who: who.highest is Role.ADMIN,
    "super-admin": lambda who: who.is_super_admin,
}
_ROLES: Final = {role.value: role for role in Role}


def expect(access: str, who: Who) -> str:
    """What a route of this access does with this caller, as docs/roles.md has it."""
    if access == PUBLIC:
        return ADMITTED
    if not who.is_known:
        return UNKNOWN
    if access in _ROLES:
        if who.role is None:
            return HIDDEN
        return ADMITTED if who.role.rank >= _ROLES[access].rank else FORBIDDEN
    return ADMITTED if _MAY[access](who) else FORBIDDEN


async def make_callers(app: App, *, home: str, elsewhere: str) -> tuple[Who, ...]:
    """All kinds, for two projects; the clock moves on by more than a week."""
    expired_session = await _sign_in(app, "session-expired")
    soon = app.clock.now() + dt.timedelta(hours=1)
    expired = await _token(app, await app.add_user("token-expired"), expires_at=soon)
    await app.clock.advance(_WEEK_AND_A_DAY)
    members = {role: await _member(app, role.value, {home: role}) for role in Role}
    both = await _member(app, "both", {home: Role.ADMIN, elsewhere: Role.ADMIN})
    stranger = await _member(app, "stranger", {elsewhere: Role.ADMIN})
    nobody = await app.add_user("nobody")
    root = await app.add_user("root", super_admin=True)
    known = [
        *[
            Who(
                name=role.value,
                credential=await _token(app, user),
                role=role,
                highest=role,
                is_person=True,
                user=user,
            )
            for role, user in members.items()
        ],
        Who(
            name="super-admin",
            credential=await _token(app, root),
            role=Role.ADMIN,
            highest=Role.ADMIN,
            is_super_admin=True,
            is_person=True,
            user=root,
        ),
        Who(
            name="bootstrap",
            credential=SETUP_SECRET,
            role=Role.ADMIN,
            highest=Role.ADMIN,
            is_super_admin=True,
        ),
        Who(name="member of no project", credential=await _token(app, nobody), is_person=True, user=nobody),
        Who(
            name="admin of another project",
            credential=await _token(app, stranger),
            highest=Role.ADMIN,
            is_person=True,
            user=stranger,
        ),
    ]
    strangers = await _make_strangers(app, expired, expired_session)
    return (*strangers, *known, *await _make_limited(app, both, root, home=home, elsewhere=elsewhere))


async def _make_strangers(app: App, expired: str, expired_session: str) -> list[Who]:
    """Callers with no credential that is valid now."""
    revoked_user = await app.add_user("token-revoked")
    revoked = await _token(app, revoked_user)
    caller = caller_of(revoked_user)
    await app.tokens.delete(caller, (await app.tokens.list(caller))[0].id)
    deleted_user = await app.add_user("deleted")
    deleted = await _token(app, deleted_user)
    await app.users.delete(SETUP_CALLER, deleted_user.id)
    ended = await _sign_in(app, "session-ended")
    ended_caller = await app.identities.recognise(ended, address="192.0.2.1")
    assert ended_caller is not None
    await app.sessions.sign_out(ended_caller)
    credentials = {
        "no credential": None,
        "garbage": "garbage",
        "garbage that is not ASCII": "gärbage\N{SNOWMAN}",
        "expired token": expired,
        "expired session": expired_session,
        "revoked token": revoked,
        "ended session": ended,
        "token of a deleted user": deleted,
    }
    return [Who(name=name, credential=credential, is_known=False) for name, credential in credentials.items()]


async def _make_limited(app: App, both: User, root: User, *, home: str, elsewhere: str) -> list[Who]:
    """Tokens of narrower scope than their users, by project and by role ceiling."""
    viewer, operator, admin = Role
    kinds: tuple[tuple[str, User, Role | None, str | None, Role | None], ...] = (
        ("admin's token for this project", both, admin, home, None),
        ("admin's token for another project", both, None, elsewhere, None),
        ("admin's token as operator", both, operator, None, operator),
        ("admin's token as viewer", both, viewer, None, viewer),
        ("super-admin's token for this project", root, admin, home, None),
        ("super-admin's token for another project", root, None, elsewhere, None),
        ("super-admin's token as admin", root, admin, None, admin),
        ("super-admin's token as viewer", root, viewer, None, viewer),
    )
    return [
        Who(
            name=name,
            credential=await _token(app, user, project_id=project_id, role_ceiling=ceiling),
            role=role,
            highest=ceiling or admin,
        )
        for name, user, role, project_id, ceiling in kinds
    ]


async def _member(app: App, username: str, roles: Mapping[str, Role]) -> User:
    user = await app.add_user(username)
    for project_id, role in roles.items():
        await app.members.put(SETUP_CALLER, project_id, user_id=user.id, role=role)
    return user


async def _token(
    app: App,
    user: User,
    *,
    expires_at: dt.datetime | None = None,
    project_id: str | None = None,
    role_ceiling: Role | None = None,
) -> str:
    issued = await app.tokens.create(
        caller_of(user), name="test", expires_at=expires_at, project_id=project_id, role_ceiling=role_ceiling
    )
    return issued.secret


async def _sign_in(app: App, username: str) -> str:
    await app.add_user(username)
    return (await app.sessions.sign_in(username, PASSWORD, address="192.0.2.1")).token


def caller_of(user: User) -> Caller:
    """The user without limits, able to make tokens for any project."""
    return dataclasses.replace(SETUP_CALLER, user_id=user.id, username=user.username)

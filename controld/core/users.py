"""People: the first admin, and who may sign in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from controld.core.audit import Audit
from controld.core.faults import AlreadyInitialised, LastAdmin, NameTaken, UserNotFound
from controld.core.ports import Database, FactStore, Transaction
from controld.core.ports_identity import CredentialStore, Passwords, UserStore
from controld.core.ports_services import MemberStore
from controld.model.caller import Caller
from controld.model.user import ApiToken, User, UserChange
from controld.rules.access import check
from controld.rules.validation import BOOTSTRAP_PASSWORD_BYTES, check_password, check_title
from kit.clock import Clock
from kit.faults import Invalid
from kit.ids import Ids

_INITIALISED: Final = "admin_initialised"
_PROJECTS_TOLD: Final = 5


class Users:
    """Makes, lists, changes and removes users, and ends what they sign in with; the first admin can be made once in the
    life of a database.
    """

    def __init__(
        self,
        *,
        database: Database,
        users: UserStore,
        credentials: CredentialStore,
        members: MemberStore,
        facts: FactStore,
        passwords: Passwords,
        audit: Audit,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._users = users
        self._credentials = credentials
        self._members = members
        self._facts = facts
        self._passwords = passwords
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._initialised = False

    async def is_initialised(self) -> bool:
        """Whether the first admin exists or has existed."""
        if not self._initialised:
            async with self._database.read() as tx:
                self._initialised = bool(await self._facts.get(tx, _INITIALISED))
        return self._initialised

    async def bootstrap(self, caller: Caller, *, username: str, password: str) -> User:
        """Make the first admin and announce ("fact", "admin_initialised"); raises AlreadyInitialised."""
        check(caller, "bootstrap")
        check_title(username, what="username")
        check_password(password, least_bytes=BOOTSTRAP_PASSWORD_BYTES)
        if await self.is_initialised():
            raise AlreadyInitialised("cannot create the first admin: there has been one")
        user = self._new(username, is_super_admin=True)
        password_hash = await self._passwords.hash(password)
        async with self._database.write() as tx:
            await tx.lock("users")
            if await self._facts.get(tx, _INITIALISED):
                raise AlreadyInitialised("cannot create the first admin: there has been one")
            await self._add(tx, caller, user=user, password_hash=password_hash)
            await self._facts.put_once(tx, _INITIALISED, True)
            tx.announce("fact", _INITIALISED)
        self._initialised = True
        return user

    async def create(self, caller: Caller, *, username: str, password: str, is_super_admin: bool) -> User:
        """Make a user; raises NameTaken."""
        check(caller, "users.change")
        check_title(username, what="username")
        check_password(password)
        user = self._new(username, is_super_admin=is_super_admin)
        password_hash = await self._passwords.hash(password)
        async with self._database.write() as tx:
            await tx.lock("users")
            await self._add(tx, caller, user=user, password_hash=password_hash)
        return user

    async def list_directory(self, caller: Caller) -> list[User]:
        """All users by username, for those who choose members."""
        check(caller, "users.directory")
        async with self._database.read() as tx:
            return await self._users.list(tx)

    async def list_tokens(self, caller: Caller, user_id: str) -> list[ApiToken]:
        """The API tokens of any user, newest first, for super-admins; raises UserNotFound."""
        check(caller, "users.change")
        async with self._database.read() as tx:
            await self._get(tx, user_id, verb="list tokens of")
            return await self._credentials.list_tokens(tx, user_id)

    async def list(self, caller: Caller) -> list[User]:
        """All users by username, for super-admins."""
        check(caller, "users.change")
        async with self._database.read() as tx:
            return await self._users.list(tx)

    async def update(self, caller: Caller, user_id: str, change: UserChange) -> User:
        """Give a user another password, which ends their sessions, or make or unmake them a super-admin.

        Raises UserNotFound, and LastAdmin when no super-admin would be left.
        """
        check(caller, "users.change")
        password_hash = None
        if change.password is not None:
            check_password(change.password)
            if caller.user_id == user_id:
                raise Invalid("cannot change your own password here: it takes the current one, at /v1/me/password")
            password_hash = await self._passwords.hash(change.password)
        async with self._database.write() as tx:
            await tx.lock("users")
            user = await self._get(tx, user_id, verb="change")
            done: dict[str, object] = {}
            if password_hash is not None:
                await self._users.set_password(tx, user_id, password_hash=password_hash)
                done = {"password": "replaced", "sessions": await self._credentials.delete_sessions_of(tx, user_id)}
            if change.is_super_admin is not None and change.is_super_admin != user.is_super_admin:
                if not change.is_super_admin:
                    await self._keep_a_super_admin(tx, user, verb="demote")
                await self._users.set_super_admin(tx, user_id, is_super_admin=change.is_super_admin)
                user = dataclasses.replace(user, is_super_admin=change.is_super_admin)
                done["is_super_admin"] = change.is_super_admin
            if done:
                await self._record(tx, caller, "user.update", user=user, details=done)
        return user

    async def delete(self, caller: Caller, user_id: str) -> None:
        """Remove a user with their sessions, tokens and memberships.

        Raises LastAdmin for the last super-admin, and for the only admin of a project.
        """
        check(caller, "users.change")
        async with self._database.write() as tx:
            await tx.lock("users")
            user = await self._get(tx, user_id, verb="delete")
            await self._keep_a_super_admin(tx, user, verb="delete")
            for project_id in await self._members.list_admin_projects(tx, user_id):
                await tx.lock(f"members:{project_id}")
            if left := await self._members.list_sole_admin_projects(tx, user_id):
                raise LastAdmin(
                    f"cannot delete user: they are the only admin of {len(left)} projects; make another admin there "
                    f"first: {', '.join(left[:_PROJECTS_TOLD])}"
                )
            await self._users.delete(tx, user_id)
            await self._record(tx, caller, "user.delete", user=user, details={})

    async def revoke_sessions(self, caller: Caller, user_id: str) -> int:
        """End all sessions of any user and say how many, for super-admins; raises UserNotFound."""
        check(caller, "users.change")
        async with self._database.write() as tx:
            user = await self._get(tx, user_id, verb="sign out")
            count = await self._credentials.delete_sessions_of(tx, user_id)
            await self._record(tx, caller, "session.delete", user=user, details={"count": count})
        return count

    async def _get(self, tx: Transaction, user_id: str, *, verb: str) -> User:
        user = await self._users.get(tx, user_id)
        if user is None:
            raise UserNotFound(f"cannot {verb} user: no such user")
        return user

    async def _keep_a_super_admin(self, tx: Transaction, user: User, *, verb: str) -> None:
        if user.is_super_admin and await self._users.count_super_admins(tx) == 1:
            raise LastAdmin(f"cannot {verb} user: this is the last super-admin")

    def _new(self, username: str, *, is_super_admin: bool) -> User:
        return User(
            id=self._ids.new_id(), username=username, is_super_admin=is_super_admin, created_at=self._clock.now()
        )

    async def _add(self, tx: Transaction, caller: Caller, *, user: User, password_hash: str) -> None:
        if await self._users.find_login(tx, user.username) is not None:
            raise NameTaken(f"cannot create user: the username {user.username!r} is taken")
        await self._users.add(tx, user, password_hash=password_hash)
        await self._record(tx, caller, "user.create", user=user, details={"is_super_admin": user.is_super_admin})

    async def _record(
        self, tx: Transaction, caller: Caller, action: str, *, user: User, details: Mapping[str, object]
    ) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="user",
            object_id=user.id,
            details={"username": user.username, **details},
        )

"""People: the first admin, and who may sign in."""

from __future__ import annotations

from controld.core.audit import Audit
from controld.core.faults import AlreadyInitialised, LastAdmin, NameTaken, UserNotFound
from controld.core.ports import Database, FactStore, Transaction
from controld.core.ports_identity import Passwords, UserStore
from controld.model.caller import Caller
from controld.model.user import User
from controld.rules.access import check
from controld.rules.validation import BOOTSTRAP_PASSWORD_BYTES, check_password, check_title
from kit.clock import Clock
from kit.ids import Ids

_INITIALISED = "admin_initialised"


class Users:
    """Makes, lists and removes users; the first admin can be made once in the life of a database."""

    def __init__(
        self,
        *,
        database: Database,
        users: UserStore,
        facts: FactStore,
        passwords: Passwords,
        audit: Audit,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database = database
        self._users = users
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

    async def list(self, caller: Caller) -> list[User]:
        """All users by username, for super-admins."""
        check(caller, "users.change")
        async with self._database.read() as tx:
            return await self._users.list(tx)

    async def delete(self, caller: Caller, user_id: str) -> None:
        """Remove a user with their sessions, tokens and memberships; raises LastAdmin for the last super-admin."""
        check(caller, "users.change")
        async with self._database.write() as tx:
            await tx.lock("users")
            user = await self._users.get(tx, user_id)
            if user is None:
                raise UserNotFound("cannot delete user: no such user")
            if user.is_super_admin and await self._users.count_super_admins(tx) == 1:
                raise LastAdmin("cannot delete user: this is the last super-admin")
            await self._users.delete(tx, user_id)
            await self._audit.record(
                tx,
                caller,
                action="user.delete",
                object_kind="user",
                object_id=user_id,
                details={"username": user.username},
            )

    def _new(self, username: str, *, is_super_admin: bool) -> User:
        return User(
            id=self._ids.new_id(), username=username, is_super_admin=is_super_admin, created_at=self._clock.now()
        )

    async def _add(self, tx: Transaction, caller: Caller, *, user: User, password_hash: str) -> None:
        if await self._users.find_login(tx, user.username) is not None:
            raise NameTaken(f"cannot create user: the username {user.username!r} is taken")
        await self._users.add(tx, user, password_hash=password_hash)
        await self._audit.record(
            tx,
            caller,
            action="user.create",
            object_kind="user",
            object_id=user.id,
            details={"username": user.username, "is_super_admin": user.is_super_admin},
        )

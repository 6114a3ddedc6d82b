"""Signing in and out, and what one may do to one's own sessions and password."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from typing import Final

from controld.core.audit import Audit
from controld.core.faults import NotAPerson, SessionNotFound, TooManyLogins, WrongCredentials, WrongPassword
from controld.core.identities import hash_token
from controld.core.ports import Database
from controld.core.ports_identity import CredentialStore, Passwords, UserStore
from controld.core.refusals import Refusals
from controld.model.caller import Caller, CallerKind, TokenKind
from controld.model.user import Session
from controld.rules.access import check
from controld.rules.validation import NAME_LIMIT, PASSWORD_LIMIT_BYTES, check_password
from kit.clock import Clock
from kit.http.limits import Window
from kit.ids import Ids

_SESSION_NAME: Final = re.compile(r"[0-9a-f]{8}")
"""The first characters of its token's hash, as sessions are listed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A fresh session: the one time that its token is told."""

    token: str
    session: Session


class Sessions:
    """Opens sessions for people with a password, `session_seconds` long from each use; tries are limited by address and
    by account.
    """

    def __init__(
        self,
        *,
        database: Database,
        users: UserStore,
        credentials: CredentialStore,
        passwords: Passwords,
        audit: Audit,
        refusals: Refusals,
        clock: Clock,
        ids: Ids,
        session_seconds: float,
        logins_per_minute: int,
    ) -> None:
        self._database = database
        self._users = users
        self._credentials = credentials
        self._passwords = passwords
        self._audit = audit
        self._refusals = refusals
        self._clock = clock
        self._ids = ids
        self._session = dt.timedelta(seconds=session_seconds)
        self._by_address = Window(logins_per_minute, 60.0, clock=clock)
        self._by_account = Window(logins_per_minute, 60.0, clock=clock)

    async def sign_in(self, username: str, password: str, *, address: str) -> SignedIn:
        """A session for the user of that name; raises WrongCredentials, alike in words and time, or TooManyLogins."""
        for window, key in ((self._by_address, address), (self._by_account, username[:NAME_LIMIT])):
            if (wait_seconds := window.check(key)) is not None:
                raise TooManyLogins("too many login attempts, try again later", retry_after_seconds=wait_seconds)
        async with self._database.read() as tx:
            found = await self._users.find_login(tx, username)
        known_hash = None if found is None or len(password.encode()) > PASSWORD_LIMIT_BYTES else found[1]
        right = await self._passwords.verify(password[:PASSWORD_LIMIT_BYTES], against=known_hash)
        if found is None or not right:
            self._refusals.note_sign_in(username, address=address)
            raise WrongCredentials("invalid credentials")
        user, known_hash = found
        now = self._clock.now()
        token = self._ids.new_secret()
        session = Session(
            id=self._ids.new_id(),
            token_sha256=hash_token(token),
            user_id=user.id,
            created_at=now,
            expires_at=now + self._session,
            last_used_at=now,
        )
        caller = Caller(
            kind=CallerKind.USER,
            token_kind=TokenKind.SESSION,
            token_id=session.id,
            user_id=user.id,
            username=user.username,
            address=address,
        )
        async with self._database.write() as tx:
            again = await self._users.find_login(tx, username)
            if again is None or again[1] != known_hash:
                raise WrongCredentials("invalid credentials")
            await self._credentials.add_session(tx, session)
            await self._audit.record(tx, caller, action="session.create", object_kind="session", object_id=session.id)
        return SignedIn(token=token, session=session)

    async def sign_out(self, caller: Caller) -> None:
        """End the caller's session; a token of another kind is left alone."""
        if caller.token_kind is not TokenKind.SESSION or caller.token_id is None:
            return
        async with self._database.write() as tx:
            await self._credentials.delete_session(tx, caller.token_id)
            await self._audit.record(
                tx, caller, action="session.delete", object_kind="session", object_id=caller.token_id
            )

    async def list(self, caller: Caller) -> list[Session]:
        """The caller's own sessions that have not expired, newest first; raises NotAPerson."""
        user_id = _person(caller)
        check(caller, "own.change")
        async with self._database.read() as tx:
            return await self._credentials.list_sessions(tx, user_id, now=self._clock.now())

    async def revoke(self, caller: Caller, name: str) -> int:
        """End the caller's own session that is listed under this name; raises SessionNotFound and NotAPerson."""
        user_id = _person(caller)
        check(caller, "own.change")
        missing = SessionNotFound("cannot end session: you have none of this name")
        if _SESSION_NAME.fullmatch(name) is None:
            raise missing
        async with self._database.write() as tx:
            count = await self._credentials.delete_session_of(tx, user_id, prefix=name)
            if not count:
                raise missing
            await self._audit.record(
                tx, caller, action="session.delete", object_kind="session", object_id=None, details={"name": name}
            )
        return count

    async def revoke_all(self, caller: Caller) -> int:
        """End all of the caller's own sessions, the present one included, and say how many; raises NotAPerson."""
        user_id = _person(caller)
        check(caller, "own.change")
        async with self._database.write() as tx:
            count = await self._credentials.delete_sessions_of(tx, user_id)
            await self._audit.record(
                tx, caller, action="session.delete", object_kind="user", object_id=user_id, details={"count": count}
            )
        return count

    async def change_password(self, caller: Caller, *, current: str, new: str) -> None:
        """Give the caller another password and end their other sessions; raises WrongPassword and TooManyLogins."""
        check(caller, "own.change")
        user_id = _person(caller)
        check_password(new)
        if (wait_seconds := self._by_account.check(caller.username or "")) is not None:
            raise TooManyLogins("too many attempts, try again later", retry_after_seconds=wait_seconds)
        async with self._database.read() as tx:
            found = await self._users.find_login(tx, caller.username or "")
        known_hash = None if found is None else found[1]
        if not await self._passwords.verify(current[:PASSWORD_LIMIT_BYTES], against=known_hash):
            raise WrongPassword("cannot change the password: the current one is wrong")
        new_hash = await self._passwords.hash(new)
        keep = caller.token_id if caller.token_kind is TokenKind.SESSION else None
        async with self._database.write() as tx:
            await self._users.set_password(tx, user_id, password_hash=new_hash)
            await self._credentials.delete_sessions_of(tx, user_id, but=keep)
            await self._audit.record(tx, caller, action="user.password", object_kind="user", object_id=user_id)

    async def drop_expired(self) -> int:
        """Remove sessions and tokens that have expired, and say how many."""
        async with self._database.write() as tx:
            return await self._credentials.delete_expired(tx, now=self._clock.now())


def _person(caller: Caller) -> str:
    if caller.user_id is None:
        raise NotAPerson("cannot do this with the setup secret: sign in as a user")
    return caller.user_id

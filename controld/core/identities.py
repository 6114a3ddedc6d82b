"""Recognises callers by their tokens, from memory where it can."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import hmac

from controld.core.ports import Database, Feed, Watch
from controld.core.ports_identity import CredentialStore
from controld.model.caller import SETUP_CALLER, Caller, CallerKind, TokenKind
from controld.model.change import EVERYTHING, Change
from controld.model.user import Credential
from kit.clock import Clock

_ADDRESSES_PER_TOKEN = 16


@dataclasses.dataclass(slots=True)
class _Known:
    credential: Credential
    expires_at: dt.datetime | None
    callers: dict[str, Caller]
    """By address."""
    used_at: dt.datetime | None = None


class Identities:
    """Knows whom a token stands for.

    Verified tokens are remembered, at most `limit`, until the change feed says that the token, its user or their roles
    changed. Uses are noted in memory and written behind by `write_uses`; that is also how sessions slide:
    `session_seconds` from their last use, and `session_limit_seconds` from their beginning at the most.
    """

    def __init__(
        self,
        *,
        database: Database,
        credentials: CredentialStore,
        feed: Feed,
        clock: Clock,
        setup_secret: str,
        session_seconds: float,
        session_limit_seconds: float,
        limit: int = 10_000,
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._feed = feed
        self._clock = clock
        self._setup_sha256 = hash_token(setup_secret)
        self._session = dt.timedelta(seconds=session_seconds)
        self._session_limit = dt.timedelta(seconds=session_limit_seconds)
        self._limit = limit
        self._known: dict[str, _Known] = {}
        self._used: dict[str, _Known] = {}
        self._changes = 0
        feed.subscribe(self._forget, kinds=("token", "user"))

    async def recognise(self, token: str, *, address: str) -> Caller | None:
        """The caller that a token stands for now, or None."""
        return await self.recognise_hashed(hash_token(token), address=address)

    async def recognise_hashed(self, token_sha256: str, *, address: str) -> Caller | None:
        """The same for the hash of a token, from who has seen the token before."""
        if hmac.compare_digest(token_sha256, self._setup_sha256):
            return dataclasses.replace(SETUP_CALLER, address=address)
        known = self._known.get(token_sha256) if self._feed.is_live else None
        if known is None:
            known = await self._load(token_sha256)
            if known is None:
                return None
        now = self._clock.now()
        if known.expires_at is not None and known.expires_at <= now:
            self._known.pop(token_sha256, None)
            return None
        self._use(known, now)
        caller = known.callers.get(address)
        if caller is None:
            if len(known.callers) >= _ADDRESSES_PER_TOKEN:
                known.callers.clear()
            caller = known.callers[address] = _make_caller(known.credential, address)
        return caller

    async def recall(self, caller: Caller) -> Caller | None:
        """Who a caller of before is by now, with what they may do now; None once their credential has ended."""
        if caller.token_kind is TokenKind.SETUP_SECRET:
            return dataclasses.replace(SETUP_CALLER, address=caller.address)
        if caller.token_id is None:
            return None
        async with self._database.read() as tx:
            credential = await self._credentials.find_by_id(tx, caller.token_kind, caller.token_id)
        if credential is None:
            return None
        pending = self._used.get(credential.id)
        expires_at = credential.expires_at if pending is None else pending.expires_at
        if expires_at is not None and expires_at <= self._clock.now():
            return None
        return _make_caller(credential, caller.address)

    def watch_changes(self) -> Watch:
        """Collects what callers may lose or gain by: changes of tokens, of users and of their roles."""
        return self._feed.watch("token", "user")

    async def write_uses(self) -> None:
        """Write down, in one transaction, which tokens were used since the last time."""
        used, self._used = self._used, {}
        if not used:
            return
        sessions, tokens = [], []
        for known in used.values():
            at = known.used_at or self._clock.now()
            if known.credential.kind is TokenKind.SESSION and known.expires_at is not None:
                sessions.append((known.credential.id, at, known.expires_at))
            else:
                tokens.append((known.credential.id, at))
        try:
            async with self._database.write() as tx:
                await self._credentials.touch_sessions(tx, sessions)
                await self._credentials.touch_tokens(tx, tokens)
        except BaseException:
            self._used = {**used, **self._used}
            raise

    async def _load(self, token_sha256: str) -> _Known | None:
        before = self._changes
        async with self._database.read() as tx:
            credential = await self._credentials.find(tx, token_sha256)
        if credential is None:
            return None
        pending = self._used.get(credential.id)
        expires_at = credential.expires_at if pending is None else pending.expires_at
        known = _Known(credential, expires_at, {})
        if before == self._changes and self._feed.is_live:
            if len(self._known) >= self._limit:
                del self._known[next(iter(self._known))]
            self._known[token_sha256] = known
        return known

    def _use(self, known: _Known, now: dt.datetime) -> None:
        known.used_at = now
        if known.credential.kind is TokenKind.SESSION:
            known.expires_at = min(now + self._session, known.credential.created_at + self._session_limit)
        self._used[known.credential.id] = known

    def _forget(self, change: Change) -> None:
        self._changes += 1
        if change is EVERYTHING:
            self._known.clear()
        elif change.kind == "token":
            self._known.pop(change.id, None)
        else:
            gone = [sha for sha, known in self._known.items() if known.credential.user.id == change.id]
            for token_sha256 in gone:
                del self._known[token_sha256]


def hash_token(token: str) -> str:
    """The SHA-256 under which a token is kept, in lowercase hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _make_caller(credential: Credential, address: str) -> Caller:
    return Caller(
        kind=CallerKind.USER,
        token_kind=credential.kind,
        token_id=credential.id,
        user_id=credential.user.id,
        username=credential.user.username,
        user_created_at=credential.user.created_at,
        is_super_admin=credential.user.is_super_admin,
        memberships=credential.memberships,
        project_limit=credential.project_limit,
        role_ceiling=credential.role_ceiling,
        address=address,
    )

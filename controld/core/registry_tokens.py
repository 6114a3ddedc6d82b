"""Tokens of a few minutes for the image registry, as Docker and its kin fetch them before they pull or push."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Awaitable
from typing import Final, Protocol

from controld.core.identities import hash_token
from controld.core.ports import Database, Transaction
from controld.model.caller import Caller
from controld.model.registry import RegistryToken, Scope
from kit.clock import Clock
from kit.faults import Unauthenticated
from kit.ids import Ids

PREFIX: Final = "moor_registry_"
_KEPT: Final = 4096


class Recognise(Protocol):
    """Finds whom a credential stands for, by the hash that it is kept under."""

    def __call__(self, token_sha256: str, *, address: str) -> Awaitable[Caller | None]:
        """The caller, or None when it stands for nobody now."""
        ...


class RegistryTokenStore(Protocol):
    """Tokens as rows."""

    async def add_token(self, tx: Transaction, token: RegistryToken) -> None:
        """Keep a new token."""
        ...

    async def find_token(self, tx: Transaction, token_sha256: str) -> RegistryToken | None:
        """A token by its hash."""
        ...

    async def delete_expired(self, tx: Transaction, *, before: dt.datetime) -> None:
        """Forget tokens that ended before that moment."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuedRegistryToken:
    """A fresh token: the one time that its secret is told."""

    secret: str
    token: RegistryToken
    issued_at: dt.datetime
    seconds: int
    """How long it can be used."""


class RegistryTokens:
    """Issues tokens and recognises them.

    A token narrows the credential that it was fetched with to the scopes that were asked for, and gives nothing: what
    the caller may do is asked at each use, so that it ends at once with that credential, its user or their role.
    """

    def __init__(
        self,
        database: Database,
        store: RegistryTokenStore,
        *,
        recognise: Recognise,
        clock: Clock,
        ids: Ids,
        seconds: int,
    ) -> None:
        self._database = database
        self._store = store
        self._recognise = recognise
        self._clock = clock
        self._ids = ids
        self._seconds = seconds
        self._known: dict[str, RegistryToken] = {}

    async def issue(self, credential: str, *, scopes: tuple[Scope, ...], address: str) -> IssuedRegistryToken:
        """A token for whoever the credential stands for; raises Unauthenticated."""
        credential_sha256 = hash_token(credential)
        if await self._recognise(credential_sha256, address=address) is None:
            raise Unauthenticated("cannot issue a token: sign in with any username and a token as password")
        now = self._clock.now()
        secret = PREFIX + self._ids.new_secret()
        token = RegistryToken(
            token_sha256=hash_token(secret),
            credential_sha256=credential_sha256,
            scopes=scopes,
            expires_at=now + dt.timedelta(seconds=self._seconds),
        )
        async with self._database.write() as tx:
            await self._store.delete_expired(tx, before=now)
            await self._store.add_token(tx, token)
        return IssuedRegistryToken(secret=secret, token=token, issued_at=now, seconds=self._seconds)

    async def recognise(self, secret: str, *, address: str) -> tuple[Caller, tuple[Scope, ...]] | None:
        """The caller that a token stands for now with its scopes, or None."""
        token = await self._find(hash_token(secret))
        if token is None or token.expires_at <= self._clock.now():
            return None
        caller = await self._recognise(token.credential_sha256, address=address)
        return None if caller is None else (caller, token.scopes)

    async def _find(self, token_sha256: str) -> RegistryToken | None:
        token = self._known.get(token_sha256)
        if token is None:
            async with self._database.read() as tx:
                token = await self._store.find_token(tx, token_sha256)
            if token is not None:
                if len(self._known) >= _KEPT:
                    del self._known[next(iter(self._known))]
                self._known[token_sha256] = token
        return token

"""Recognises callers of the registry: by a token, as bearer or as Basic's password, or by one of the registry's own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable
from typing import Final, Protocol

from aiohttp import web

from controld.core.registry_faults import ScopeInsufficient
from controld.core.registry_tokens import PREFIX
from controld.model.caller import Caller
from controld.model.registry import Scope
from controld.rules.registry_scope import covers, needed_scopes, repositories_to_pull
from kit.faults import Unauthenticated
from kit.http.surface import peer_of

_SCOPES: Final = web.RequestKey("scopes", tuple[Scope, ...])


class Recognise(Protocol):
    """Finds whom a token stands for."""

    def __call__(self, token: str, *, address: str) -> Awaitable[Caller | None]:
        """The caller, or None when the token stands for nobody now."""
        ...


class RecogniseScoped(Protocol):
    """Finds whom a token made for the registry stands for."""

    def __call__(self, secret: str, *, address: str) -> Awaitable[tuple[Caller, tuple[Scope, ...]] | None]:
        """The caller and the token's scopes, or None when it stands for nobody now."""
        ...


class TokenAuth:
    """Says who a request comes from by its Authorization header; a token of the registry's has to cover the request."""

    def __init__(self, recognise: Recognise, recognise_scoped: RecogniseScoped) -> None:
        self._recognise = recognise
        self._recognise_scoped = recognise_scoped

    async def authenticate(self, request: web.Request) -> Caller | None:
        """The caller, or None without a credential; raises Unauthenticated and ScopeInsufficient."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        token = read_token(header)
        caller = None if token is None else await self._find(request, token)
        if caller is None:
            raise Unauthenticated("cannot tell who is calling: sign in with any username and a token as password")
        return caller

    async def _find(self, request: web.Request, token: str) -> Caller | None:
        address = peer_of(request)
        if not token.startswith(PREFIX):
            return await self._recognise(token, address=address)
        found = await self._recognise_scoped(token, address=address)
        if found is None:
            return None
        caller, scopes = found
        if not covers(scopes, needed_by(request)):
            raise ScopeInsufficient("cannot do this with this token: it was fetched for something else")
        request[_SCOPES] = scopes
        return caller


def needed_by(request: web.Request) -> tuple[Scope, ...]:
    """The scopes that a token needs for the request."""
    url = request.rel_url
    source = url.query.get("from") if "mount" in url.query else None
    return needed_scopes(request.method, url.raw_path, source=source)


def sources_of(request: web.Request) -> frozenset[str] | None:
    """The only repositories that the request's token lets blobs come from, or None when it names none."""
    scopes = request.get(_SCOPES)
    return None if scopes is None else repositories_to_pull(scopes)


def read_token(header: str) -> str | None:
    """The token in an Authorization header: after `Bearer `, or the password of Basic; None when there is none."""
    scheme, _, rest = header.partition(" ")
    if scheme == "Bearer":
        return rest.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return pair.partition(":")[2] or None

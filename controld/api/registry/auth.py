"""Recognises callers of the registry by a token: as bearer, or as the password that `docker login` keeps."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable
from typing import Protocol

from aiohttp import web

from controld.model.caller import Caller
from kit.faults import Unauthenticated
from kit.http.surface import peer_of


class Recognise(Protocol):
    """Finds whom a token stands for."""

    def __call__(self, token: str, *, address: str) -> Awaitable[Caller | None]:
        """The caller, or None when the token stands for nobody now."""
        ...


class TokenAuth:
    """Says who a request comes from by its Authorization header."""

    def __init__(self, recognise: Recognise) -> None:
        self._recognise = recognise

    async def authenticate(self, request: web.Request) -> Caller | None:
        """The caller, or None without a credential; raises Unauthenticated for one that is not valid."""
        header = request.headers.get("Authorization")
        if header is None:
            return None
        token = read_token(header)
        caller = None if token is None else await self._recognise(token, address=peer_of(request))
        if caller is None:
            raise Unauthenticated("cannot tell who is calling: sign in with any username and a token as password")
        return caller


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

"""Recognises who may scrape: the holder of the metrics token, and people by their own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable
from typing import Final, Protocol

from aiohttp import hdrs, web

from controld.core.exposition import Reader
from controld.model.caller import Caller
from kit.faults import Unauthenticated
from kit.http.surface import peer_of

_PREFIX: Final = "Bearer "


class Recognise(Protocol):
    """Finds whom a token stands for."""

    def __call__(self, token: str, *, address: str) -> Awaitable[Caller | None]:
        """The caller, or None when the token stands for nobody now."""
        ...


class ScrapeAuth:
    """Takes `Authorization: Bearer <token>`; of the metrics token it keeps the hash alone."""

    def __init__(self, recognise: Recognise, *, metrics_token: str) -> None:
        self._recognise = recognise
        self._wanted = _digest(metrics_token)

    async def authenticate(self, request: web.Request) -> Caller | Reader | None:
        """Who calls, or None without a credential; raises Unauthenticated for one that is not valid now."""
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is None:
            return None
        if header.startswith(_PREFIX):
            token = header[len(_PREFIX) :]
            if hmac.compare_digest(_digest(token), self._wanted):
                return Reader.METRICS_TOKEN
            caller = await self._recognise(token, address=peer_of(request))
            if caller is not None:
                return caller
        raise Unauthenticated("cannot tell who is calling: send the metrics token, or a super-admin's")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()

"""How `/v1` recognises a caller, and how often one address may ask."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import hdrs, web

from controld.core.faults import TooManyRequests
from controld.core.identities import Identities
from controld.model.caller import Caller
from kit.clock import Clock
from kit.faults import Unauthenticated
from kit.http.limits import Window
from kit.http.surface import peer_of

_PREFIX = "Bearer "


class BearerAuth:
    """Takes `Authorization: Bearer <token>`."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def authenticate(self, request: web.Request) -> Caller | None:
        """The caller, None where no credential was sent; raises Unauthenticated for one that is not valid now."""
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is None:
            return None
        caller = None
        if header.startswith(_PREFIX):
            caller = await self._identities.recognise(header[len(_PREFIX) :], address=peer_of(request))
        if caller is None:
            raise Unauthenticated("cannot recognise the caller: the token is not valid")
        return caller


def make_throttle(requests_per_minute: int, *, clock: Clock) -> Callable[[web.Request], None] | None:
    """A check that raises TooManyRequests when an address asks more often in 60 seconds; None for no limit (0)."""
    if requests_per_minute == 0:
        return None
    window = Window(requests_per_minute, 60.0, clock=clock)

    def throttle(request: web.Request) -> None:
        if (wait_seconds := window.check(peer_of(request))) is not None:
            raise TooManyRequests("too many requests", retry_after_seconds=wait_seconds)

    return throttle

"""Takes the requests for services that sleep, which the ingress sends here, and answers so that it asks again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from agent.core.waker import REST_SECONDS, Waker
from wire.spec import Route

_HOST: Final = "127.0.0.1"
_MOST_HELD: Final = 1000
_MOST_BODY: Final = 8 * 1024
"""The ingress asks again only with what fits its buffer, which the headers share."""
_ASK_AGAIN: Final = 425
"""Nothing was done with the request: the ingress gives it to another server."""
_LAST_SECONDS: Final = 1.0


class WakerServer:
    """Listens on loopback, on a port of its own, so that what the world asks for reaches nothing else of the agent.

    `find` tells the route of a host.
    """

    def __init__(self, waker: Waker, *, find: Callable[[str], Route | None]) -> None:
        self._waker = waker
        self._find = find
        self._held = 0
        server = web.Server(self._answer, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=_LAST_SECONDS)

    async def start(self) -> int:
        """Begin to listen; the port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """End; what waits is told to come again."""
        await self._waker.close()
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        route = self._find(request.host.partition(":")[0].lower())
        if route is None:
            return _refuse(1)
        if not _is_repeatable(request):
            self._waker.begin(route.service_id)
            return _refuse(5)
        if self._held >= _MOST_HELD:
            return _refuse(5)
        self._held += 1
        try:
            awake = await self._waker.hold(route.service_id)
        finally:
            self._held -= 1
        if not awake:
            return _refuse(int(REST_SECONDS))
        return web.Response(status=_ASK_AGAIN, headers={"Connection": "close"})


def _is_repeatable(request: web.BaseRequest) -> bool:
    """Whether the ingress still has all of the request when we answer."""
    if "Expect" in request.headers or "Transfer-Encoding" in request.headers:
        return False
    return (request.content_length or 0) <= _MOST_BODY


def _refuse(seconds: int) -> web.Response:
    headers = {"Retry-After": str(seconds), "Connection": "close"}
    return web.Response(status=503, text="the service is not awake yet\n", headers=headers)

"""An engine's unix socket whose answers a test writes itself: garbage, silence and cut connections included."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class EngineSocket:
    """Serves `/version` by itself; every other path, without its version prefix, by `answers`, else never.

    `asked` lists the paths that were asked for with their versions, in order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.api_version = "1.41"
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self._ending = asyncio.Event()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Listen until left; calls that are never answered end then."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(self.path)).start()
        try:
            yield
        finally:
            self._ending.set()
            await runner.cleanup()
            self._ending.clear()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path == "/version":
            return web.json_response({"Version": "20.10.24", "ApiVersion": self.api_version, "MinAPIVersion": "1.12"})
        path = "/" + request.path.removeprefix("/v").partition("/")[2]
        answer = self.answers.get(path)
        if answer is None:
            await self._ending.wait()
            raise web.HTTPServiceUnavailable
        return await answer(request)

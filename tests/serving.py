"""Serves surfaces on loopback for the length of a test, and speaks to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import ClientSession, ClientTimeout, web

from kit.http.server import Server
from kit.http.surface import Surface
from kit.http.tally import Tally
from kit.ids import SystemIds
from kit.tasks import Tasks


@asynccontextmanager
async def serve(*surfaces: Surface, headers: Mapping[str, str] | None = None) -> AsyncIterator[ClientSession]:
    """A session whose paths are those of a real server over the surfaces."""
    async with running(*surfaces) as server, session_to(server, headers=headers) as session:
        yield session


@asynccontextmanager
async def running(*surfaces: Surface, tally: Tally | None = None) -> AsyncIterator[Server]:
    """A server on a free port of loopback, stopped afterwards."""
    tasks = Tasks("test server")
    server = Server(surfaces, host="127.0.0.1", port=0, ids=SystemIds(), tasks=tasks, tally=tally)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(1.0)
        await tasks.close()


@asynccontextmanager
async def serve_app(app: web.Application, *, port: int = 0) -> AsyncIterator[str]:
    """The host and port on loopback of a server that is none of ours; port 0: any free one."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def session_to(server: Server, *, headers: Mapping[str, str] | None = None) -> ClientSession:
    """A client session that speaks to the server, with these headers on every ask."""
    return ClientSession(
        f"http://127.0.0.1:{server.port}", headers=headers, timeout=ClientTimeout(total=10), auto_decompress=False
    )

"""A real HAProxy on free ports with its files in a test's folder, and small upstream servers for it to reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
from aiohttp import web

from agent.core.faults import IngressUnavailable
from agent.host.haproxy.config import HaproxyPaths, HaproxySettings
from agent.host.haproxy.driver import HaproxyIngress
from agent.model.identity import Identity
from agent.model.ingress import IngressState, Route, Server, ServerState
from kit.clock import SystemClock


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RunningHaproxy:
    """A HAProxy under test: started from the driver's files, ended by its process id."""

    def __init__(
        self,
        folder: Path,
        *,
        pool_size: int = 8,
        agent_port: int = 9,
        header_seconds: int = 10,
    ) -> None:
        self.paths = HaproxyPaths(state=folder / "state", run=folder / "run")
        self.port = free_port()
        self.https_port = free_port()
        self.peer_port = free_port()
        self.settings = HaproxySettings(
            http_bind=f"127.0.0.1:{self.port}",
            https_bind=f"127.0.0.1:{self.https_port}",
            peer_bind=f"127.0.0.1:{self.peer_port}",
            agent_port=agent_port,
            max_connections=2000,
            header_seconds=header_seconds,
        )
        self.pool_size = pool_size
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its HTTP listener is."""
        return f"http://127.0.0.1:{self.port}"

    def driver(self) -> HaproxyIngress:
        """A driver that knows nothing yet, as after a restart of the agent."""
        return HaproxyIngress(self.paths, self.settings, clock=SystemClock(), pool_size=self.pool_size)

    async def start(self) -> None:
        """Start from the files as they are and wait for the runtime socket; the driver must have prepared them."""
        self._process = await asyncio.to_thread(self._launch)
        for _ in range(200):
            with contextlib.suppress(IngressUnavailable):
                await self.driver().observe()
                return
            if self._process.poll() is not None:
                break
            await asyncio.sleep(0.05)
        raise AssertionError((self.paths.run / "haproxy.log").read_text())

    def _launch(self) -> subprocess.Popen[bytes]:
        with (self.paths.run / "haproxy.log").open("ab") as log:
            return subprocess.Popen(self.paths.command(), stdout=log, stderr=log)

    async def kill(self) -> None:
        """End the worker and the master with SIGKILL, as a crash does."""
        with contextlib.suppress(IngressUnavailable, ProcessLookupError):
            os.kill((await self.driver().observe()).process.pid, signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        """End the master, and with it every worker."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
            self._process = None


@contextlib.asynccontextmanager
async def running_haproxy(
    *, pool_size: int = 8, agent_port: int = 9, header_seconds: int = 10, identity: Identity | None = None
) -> AsyncIterator[RunningHaproxy]:
    """A prepared and started HAProxy, in a folder short enough for socket paths, ended with the block."""
    with tempfile.TemporaryDirectory(prefix="hx") as folder:
        haproxy = RunningHaproxy(
            Path(folder), pool_size=pool_size, agent_port=agent_port, header_seconds=header_seconds
        )
        await haproxy.driver().prepare(identity)
        try:
            await haproxy.start()
            yield haproxy
        finally:
            await haproxy.stop()


class Upstream:
    """A replica: says its name and what it received, echoes a WebSocket at `/ws`, streams events at `/events`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.requests = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> Upstream:
        """Listen on its port."""
        app = web.Application()
        app.router.add_get("/ws", self._echo)
        app.router.add_route("*", "/{path:.*}", self._tell)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def server(self, state: ServerState = ServerState.READY) -> Server:
        """How a route names it."""
        return Server(name=self.name, address="127.0.0.1", port=self.port, state=state)

    async def _tell(self, request: web.Request) -> web.Response:
        self.requests += 1
        await asyncio.sleep(float(request.query.get("sleep", "0")))
        headers = {name.lower(): request.headers.getall(name) for name in request.headers}
        return web.json_response({"name": self.name, "path": request.path, "headers": headers})

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        channel = web.WebSocketResponse()
        await channel.prepare(request)
        async for message in channel:
            if message.type is aiohttp.WSMsgType.TEXT:
                await channel.send_str(f"{self.name}:{message.data}")
        return channel


@contextlib.asynccontextmanager
async def upstreams(*names: str) -> AsyncIterator[list[Upstream]]:
    """Listening upstreams of those names, closed with the block."""
    started = [await Upstream(name).start() for name in names]
    try:
        yield started
    finally:
        for upstream in started:
            await upstream.stop()


async def get(
    haproxy: RunningHaproxy, host: str, path: str = "/", headers: dict[str, str] | None = None
) -> tuple[int, str, Mapping[str, str]]:
    """One request on a connection of its own: status, body and headers."""
    async with aiohttp.ClientSession() as session:
        async with session.get(haproxy.url + path, headers={"Host": host, **(headers or {})}) as answer:
            return answer.status, await answer.text(), answer.headers


async def who(haproxy: RunningHaproxy, host: str) -> str:
    """The name of the upstream that answers for a host, or the status when none does."""
    status, body, _ = await get(haproxy, host)
    return str(json.loads(body)["name"]) if status == 200 else str(status)


def state(*routes: Route) -> IngressState:
    """A state of these routes."""
    return IngressState(routes=routes)

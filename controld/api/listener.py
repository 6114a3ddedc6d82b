"""The public listener, which stays on loopback until somebody has claimed the platform."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable, Sequence

from controld.core.ports import Feed
from kit.http.server import Server
from kit.http.surface import Surface
from kit.http.tally import Tally
from kit.ids import Ids
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"


class PublicListener:
    """Serves the surfaces at `host` and `port` once `is_claimed` says so; before, at the same port of 127.0.0.1 only.

    `is_claimed` is asked again whenever the feed tells a change of a "fact". Connections of before go on. What is
    answered is counted in `tally`.
    """

    def __init__(
        self,
        surfaces: Sequence[Surface],
        *,
        host: str,
        port: int,
        is_claimed: Callable[[], Awaitable[bool]],
        feed: Feed,
        ids: Ids,
        tally: Tally,
    ) -> None:
        self._surfaces = surfaces
        self._tally = tally
        self._host = host
        self._port = port
        self._is_claimed = is_claimed
        self._feed = feed
        self._ids = ids
        self._tasks = Tasks("public listener")
        self._changes = Tasks("public listener changes")
        self._servers: list[Server] = []

    @property
    def port(self) -> int:
        """The port that is bound after `start`."""
        return self._port

    async def start(self) -> None:
        """Begin to answer; OSError passes through when the address is taken."""
        if _is_loopback(self._host) or await self._is_claimed():
            await self._open(self._host, shared=False)
            return
        await self._open(_LOOPBACK, shared=True)
        _log.warning("listening on loopback only until the first admin exists", extra={"wanted": self._host})
        self._tasks.start("widen", self._widen())

    async def stop(self, grace_seconds: float) -> None:
        """Stop accepting, let requests finish for at most that long, and close."""
        await self._tasks.close()
        for server in self._servers:
            await server.stop(grace_seconds)
        await self._changes.close()

    async def _widen(self) -> None:
        watch = self._feed.watch("fact")
        try:
            while not await self._is_claimed():
                await watch.next()
        finally:
            watch.close()
        await self._open(self._host, shared=True)

    async def _open(self, host: str, *, shared: bool) -> None:
        server = Server(
            self._surfaces,
            host=host,
            port=self._port,
            ids=self._ids,
            tasks=self._changes,
            reuse_port=shared,
            tally=self._tally,
        )
        await server.start()
        self._port = server.port
        self._servers.append(server)
        _log.info("listening", extra={"host": host, "port": self._port})


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

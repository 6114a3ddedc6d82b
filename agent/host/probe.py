"""Health checks over HTTP, as the ingress would reach the replica."""

from __future__ import annotations

import asyncio
import errno
from typing import Final

import aiohttp

from agent.model.replica import Obstacle, Probed

_BODY_LIMIT_BYTES: Final = 64 * 1024


class HttpProbe:
    """Sends `GET` on a connection of its own, follows no redirect, and reads no more of a body than 64 KiB."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def check(self, host: str, port: int, path: str, *, timeout_seconds: float) -> Probed:
        """The outcome of one check within the time given for all of it; never raises for what the other side does."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._ask(f"http://{host}:{port}{path}")
        except TimeoutError:
            return Probed(obstacle=Obstacle.SILENT, detail=f"no answer within {timeout_seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            return _explain_connect(error.os_error)
        except (aiohttp.ClientError, ValueError) as error:
            return Probed(obstacle=Obstacle.GARBLED, detail=str(error) or type(error).__name__)
        except OSError as error:
            return _explain_connect(error)

    async def close(self) -> None:
        """Let go of what is open."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, url: str) -> Probed:
        async with self._open().get(url, allow_redirects=False) as answer:
            if not 200 <= answer.status < 400:
                return Probed(obstacle=Obstacle.STATUS, detail=str(answer.status))
            await answer.content.read(_BODY_LIMIT_BYTES)
            return Probed(detail=str(answer.status))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "moorage-health"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _explain_connect(error: OSError) -> Probed:
    if error.errno == errno.ECONNREFUSED:
        return Probed(obstacle=Obstacle.REFUSED, detail="connection refused")
    if error.errno in {errno.ECONNRESET, errno.EPIPE}:
        return Probed(obstacle=Obstacle.GARBLED, detail="connection reset")
    return Probed(obstacle=Obstacle.UNREACHABLE, detail=error.strerror or str(error))

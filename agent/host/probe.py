"""Health checks over HTTP, as the ingress would reach the replica."""

from __future__ import annotations

import asyncio
import errno
from typing import Final, cast
from urllib.parse import quote

from agent.model.replica import Obstacle, Probed
from agent.rules.http_head import MOST_BYTES, Head, parse_head

_SAFE: Final = "/?&=%:@!$'()*+,;~[]"
_DRAIN_SECONDS: Final = 1.0


class HttpProbe:
    """Sends `GET` on a connection of its own, and takes the status for the answer; redirects are not followed.

    A hundred replicas are checked twenty times a second, so this is no HTTP client: one write, and the head is read.
    What follows is taken for a second, and no more than 64 KiB of it, so that the server is not cut off in its answer.
    """

    def __init__(self) -> None:
        self._open: set[_Exchange] = set()

    async def check(self, host: str, port: int, path: str, *, timeout_seconds: float) -> Probed:
        """The outcome of one check within the time given for all of it; never raises for what the other side does."""
        loop = asyncio.get_running_loop()
        exchange = _Exchange(_render_request(host, port, path), loop=loop)
        self._open.add(exchange)
        exchange.ended.add_done_callback(lambda _: self._open.discard(exchange))
        try:
            async with asyncio.timeout(timeout_seconds):
                await loop.create_connection(lambda: exchange, host, port)
                status = (await exchange.head).status
        except TimeoutError:
            exchange.abort()
            return Probed(obstacle=Obstacle.SILENT, detail=f"no answer within {timeout_seconds:g} s")
        except ValueError as error:
            return Probed(obstacle=Obstacle.GARBLED, detail=str(error))
        except OSError as error:
            return _explain_connect(error)
        except BaseException:
            exchange.abort()
            raise
        finally:
            if exchange.transport is None:
                self._open.discard(exchange)
        return Probed(obstacle=None if 200 <= status < 400 else Obstacle.STATUS, detail=str(status))

    async def close(self) -> None:
        """Let go of what is open."""
        for exchange in list(self._open):
            exchange.abort()


class _Exchange(asyncio.Protocol):
    """One request and its answer: `head` is its head, ValueError or OSError."""

    def __init__(self, request: bytes, *, loop: asyncio.AbstractEventLoop) -> None:
        self.head: asyncio.Future[Head] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self._request = request
        self._loop = loop
        self._received = b""
        self._size = 0

    def abort(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if self.head.done():
            if not self.head.cancelled() and self._is_over(self.head.result()):
                self._close()
            return
        self._received += data
        try:
            head = parse_head(self._received)
        except ValueError as error:
            self.head.set_exception(error)
            self.abort()
            return
        if head is not None:
            self.head.set_result(head)
            self._received = b""
            if self._is_over(head):
                self._close()
            else:
                self._loop.call_later(_DRAIN_SECONDS, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self.head.done():
            self.head.set_exception(exc or ValueError("it closed the connection without an answer"))
            self.head.exception()  # whoever waits is told; nobody has to
        if not self.ended.done():
            self.ended.set_result(None)

    def _is_over(self, head: Head) -> bool:
        return self._size >= (MOST_BYTES if head.end is None else min(head.end, MOST_BYTES))

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()


def _render_request(host: str, port: int, path: str) -> bytes:
    where = f"[{host}]" if ":" in host else host
    return (
        f"GET {quote(path, safe=_SAFE)} HTTP/1.1\r\nHost: {where}:{port}\r\nUser-Agent: moorage-health\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode()


def _explain_connect(error: OSError) -> Probed:
    if error.errno == errno.ECONNREFUSED:
        return Probed(obstacle=Obstacle.REFUSED, detail="connection refused")
    if error.errno in {errno.ECONNRESET, errno.EPIPE}:
        return Probed(obstacle=Obstacle.GARBLED, detail="connection reset")
    return Probed(obstacle=Obstacle.UNREACHABLE, detail=error.strerror or str(error))

"""One HTTP server for many surfaces: it listens, keeps count of open streams, and stops in good order."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl as tls
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from kit.http.dispatch import Dispatch
from kit.http.surface import Surface
from kit.http.tally import Tally
from kit.ids import Ids
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_UPLOAD_BUFFER_BYTES = 1024 * 1024
_LINGER_SECONDS = 2.0
_STREAM_CLOSE_SECONDS = 2.0
_LAST_SECONDS = 0.1


class Server:
    """Serves the surfaces on one port, by host and port or on a bound socket.

    Every failure is told in the words of the surface that claims the path; a path without a claim gets an empty 404.
    Handlers of GET and of streams are cancelled when their client goes; handlers that change state run to their end
    under `tasks`, so that a client who hangs up leaves nothing half done. What is answered is counted in
    `tally`, which servers may share.
    """

    def __init__(
        self,
        surfaces: Sequence[Surface],
        *,
        host: str,
        port: int,
        ids: Ids,
        tasks: Tasks,
        ssl: tls.SSLContext | None = None,
        reuse_port: bool = False,
        listening_socket: socket.socket | None = None,
        keepalive_seconds: float = 75.0,
        tally: Tally | None = None,
    ) -> None:
        self._dispatch = Dispatch(surfaces, ids=ids, tasks=tasks, tally=tally or Tally())
        self._host = host
        self._port = port
        self._ssl = ssl
        self._reuse_port = reuse_port
        self._listening_socket = listening_socket
        self._keepalive_seconds = keepalive_seconds
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is bound after `start`; before, the one asked for."""
        return self._port

    async def start(self) -> None:
        """Bind and begin to answer; OSError passes through when the address is taken."""
        loop = asyncio.get_running_loop()
        self._web = web.Server(self._dispatch.answer, request_factory=_make_request, handler_cancellation=True)
        connect = functools.partial(
            _Connection,
            self._web,
            dispatch=self._dispatch,
            loop=loop,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self._keepalive_seconds,
            lingering_time=_LINGER_SECONDS,
            read_bufsize=_UPLOAD_BUFFER_BYTES,
            logger=_log,
        )
        if self._listening_socket is not None:
            self._listener = await loop.create_server(connect, sock=self._listening_socket, ssl=self._ssl, backlog=1024)
        else:
            self._listener = await loop.create_server(
                connect,
                self._host,
                self._port,
                ssl=self._ssl,
                backlog=1024,
                reuse_address=True,
                reuse_port=self._reuse_port or None,
            )
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self, grace_seconds: float) -> None:
        """Stop accepting, end streams, let other requests finish for at most that long, then close every connection."""
        if self._listener is None or self._web is None:
            return
        listener, server = self._listener, self._web
        self._listener = self._web = None
        listener.close()
        server.pre_shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_seconds
        await self._dispatch.end_streams(min(grace_seconds, _STREAM_CLOSE_SECONDS))
        await self._dispatch.settle(deadline - loop.time())
        await server.shutdown(max(_LAST_SECONDS, deadline - loop.time()))


class _Connection(RequestHandler):
    """One connection; what comes on it that is not HTTP is refused in a surface's words, and is no error of ours."""

    __slots__ = ("_dispatch",)

    def __init__(
        self, manager: web.Server, *, dispatch: Dispatch, loop: asyncio.AbstractEventLoop, **settings: Any
    ) -> None:
        super().__init__(manager, loop=loop, **settings)
        self._dispatch = dispatch

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The last answer on the connection."""
        if status >= 500 or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        response = self._dispatch.refuse_malformed(request, message or "")
        response.force_close()
        return response


def _make_request(  # noqa: PLR0917 - the shape that aiohttp calls
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    return web.Request(message, payload, protocol, writer, task, task.get_loop())

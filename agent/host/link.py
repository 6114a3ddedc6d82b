"""Dials the link: a WebSocket to controld's node side."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from agent.core.enrolment import expired
from agent.core.faults import ControlUnreachable, NotEnrolled
from agent.host.control import refusal, translated
from agent.host.identity_files import IdentityFiles
from kit.clock import Clock
from wire import link
from wire.identity import CONTROL_HOST

_MOST_BYTES = 64 * 1024 * 1024
_CLOSE_SECONDS = 1.0


class LinkDialer:
    """Opens links as this node; an identity that was replaced on disk is taken up at the next dial."""

    def __init__(
        self, files: IdentityFiles, *, clock: Clock, timeout_seconds: float, control_url: str | None = None
    ) -> None:
        self._files = files
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._control_url = control_url
        self._context: ssl.SSLContext | None = None
        self._authority_pem: str | None = None

    async def open(self) -> LinkConnection:
        """A fresh link within the deadline."""
        identity = await self._files.read()
        if identity is None:
            raise NotEnrolled("cannot dial controld: this machine is not a node yet; enrol it with a join token")
        if self._clock.now() >= identity.not_after_at:
            raise expired(identity)
        if self._context is None or identity.authority_pem != self._authority_pem:
            self._context = await self._files.make_client_context()
            self._authority_pem = identity.authority_pem
        url = (self._control_url or identity.control_url) + link.PATH
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with translated(url), asyncio.timeout(self._timeout_seconds):
                try:
                    websocket = await session.ws_connect(
                        url,
                        ssl=self._context,
                        server_hostname=CONTROL_HOST,
                        compress=0,
                        max_msg_size=_MOST_BYTES,
                        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                    )
                except aiohttp.WSServerHandshakeError as error:
                    raise refusal(url, error.status, b"") from error
        except BaseException:
            await session.close()
            raise
        return LinkConnection(session, websocket, url=url)


class LinkConnection:
    """One open link; owns its session."""

    def __init__(self, session: aiohttp.ClientSession, websocket: aiohttp.ClientWebSocketResponse, *, url: str) -> None:
        self._session = session
        self._websocket = websocket
        self._url = url

    async def send(self, frame: bytes) -> None:
        """Send one frame, waiting while the other side takes nothing."""
        try:
            await self._websocket.send_bytes(frame)
        except (aiohttp.ClientError, OSError) as error:
            raise ControlUnreachable(f"cannot send to {self._url}: the link is broken ({error})") from error

    async def receive(self) -> bytes:
        """The next binary frame."""
        while True:
            message = await self._websocket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                data: bytes = message.data
                return data
            if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}:
                raise ControlUnreachable(f"cannot receive from {self._url}: the link was closed")
            if message.type is aiohttp.WSMsgType.ERROR:
                raise ControlUnreachable(f"cannot receive from {self._url}: {message.data}")

    async def close(self) -> None:
        """Drop the connection without a closing handshake, which a dead one would never finish."""
        await self._session.close()

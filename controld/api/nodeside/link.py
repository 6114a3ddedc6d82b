"""The link's WebSocket."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import msgspec
from aiohttp import WSMsgType, web

from controld.core.link import Links
from kit.http.surface import Ask
from kit.http.websocket import DirectWebSocket
from wire.link import decode_from_agent

_log = logging.getLogger(__name__)

_MOST_BYTES = 4 * 1024 * 1024
_CLOSE_SECONDS = 2.0


class LinkHandlers:
    """Carries frames between a node's WebSocket and the core."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def keep(self, ask: Ask) -> web.WebSocketResponse:
        """Keep one link for as long as it lasts.

        A heartbeat that can be answered from memory is answered where it arrives; the others come here, in order.
        """
        websocket = DirectWebSocket(close_seconds=_CLOSE_SECONDS, max_message_bytes=_MOST_BYTES)
        await ask.open(websocket)
        links = self._links
        session = links.open(ask.caller, _Outlet(websocket, ask.request.transport))
        websocket.answer_with(lambda message: links.take(session, decode_from_agent(message)))
        try:
            while (message := await websocket.receive()).type is WSMsgType.BINARY:
                answer = await links.take_slowly(session, decode_from_agent(message.data))
                if answer is not None:
                    await websocket.send_bytes(answer)
                del message, answer  # thousands of links wait here for hours, each with kilobytes of what it said first
                websocket.settle()
        except msgspec.MsgspecError as error:
            _log.warning("link sent what cannot be read", extra={"node_id": session.node_id, "reason": str(error)})
        except (ConnectionError, RuntimeError):
            # The node went while it was being answered.
            _log.debug("link broke", extra={"node_id": session.node_id})
        finally:
            links.close(session)
        return websocket


class _Outlet:
    """What the core sends over one WebSocket."""

    def __init__(self, websocket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._websocket = websocket
        self._transport = transport

    async def send(self, frame: bytes) -> None:
        with suppress(ConnectionError, RuntimeError):
            await self._websocket.send_bytes(frame)

    async def end(self, frame: bytes) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.send(frame)
                await self._websocket.close()
        except TimeoutError:
            _log.debug("link did not close in good order")
        finally:
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

"""A client of consoles for tests: asks for tickets, connects, types and waits for what is shown."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp


@dataclasses.dataclass
class Place:
    """Where consoles of one service are asked for."""

    url: str
    token: str
    service_id: str

    @property
    def path(self) -> str:
        """Below which everything of the service's consoles is."""
        return f"{self.url}/v1/services/{self.service_id}/console"


class Seat:
    """One connection to a console; `frames` are the text frames that came, `shown` what nobody waited for yet."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket
        self.frames: list[dict[str, Any]] = []
        self.shown = bytearray()
        self.received = 0
        self.largest = 0

    @property
    def session_id(self) -> str:
        """The console's id, once it is ready."""
        return str(self.frames[0]["session_id"])

    async def type(self, text: str) -> None:
        """Type text."""
        await self.websocket.send_bytes(text.encode())

    async def say(self, **frame: Any) -> None:
        """Send a text frame."""
        await self.websocket.send_json(frame)

    async def take(self) -> bool:
        """Take one message; False when there are no more."""
        message = await self.websocket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            self.shown += message.data
            self.received += len(message.data)
            self.largest = max(self.largest, len(message.data))
        elif message.type is aiohttp.WSMsgType.TEXT:
            self.frames.append(json.loads(message.data))
        elif message.type not in {aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG}:
            return False
        return True

    async def until(self, pattern: bytes, *, seconds: float = 20) -> re.Match[bytes]:
        """The first match in what is shown, which is forgotten up to there."""
        try:
            async with asyncio.timeout(seconds):
                while (found := re.search(pattern, self.shown)) is None:
                    assert await self.take(), (self.frames, bytes(self.shown[-500:]))
        except TimeoutError as error:
            raise AssertionError(f"no {pattern!r} in {bytes(self.shown[-500:])!r}; {self.frames}") from error
        del self.shown[: found.end()]
        return found

    async def until_ready(self, *, seconds: float = 20) -> dict[str, Any]:
        """The first frame."""
        async with asyncio.timeout(seconds):
            while not self.frames:
                assert await self.take()
        return self.frames[0]

    async def until_over(self, *, seconds: float = 20) -> list[dict[str, Any]]:
        """All frames, once the server has closed."""
        async with asyncio.timeout(seconds):
            while await self.take():
                continue
        return self.frames

    async def drop(self) -> None:
        """Vanish without a word, as a network does."""
        connection = self.websocket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()


async def ask_ticket(http: aiohttp.ClientSession, place: Place, **asked: Any) -> tuple[int, dict[str, Any]]:
    """The answer to an ask for a ticket."""
    body = {"replica_index": 0, **asked}
    headers = {"Authorization": f"Bearer {place.token}"}
    async with http.post(f"{place.path}/tickets", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


@contextlib.asynccontextmanager
async def seated(http: aiohttp.ClientSession, place: Place, *, more: str = "", **asked: Any) -> AsyncIterator[Seat]:
    """A connection to a console that is ready, with `more` behind its path; it is closed afterwards."""
    status, issued = await ask_ticket(http, place, **asked)
    assert status == 200, issued
    async with http.ws_connect(place.url + issued["ws_path"] + more, max_msg_size=0) as websocket:
        seat = Seat(websocket)
        frame = await seat.until_ready()
        assert frame["type"] == "ready", frame
        yield seat


async def settle(seat: Seat) -> None:
    """Have a prompt-less shell without echo, so that only answers are shown."""
    await seat.type("busybox stty -echo; PS1=; echo rea''dy\n")
    await seat.until(rb"ready\r\n")

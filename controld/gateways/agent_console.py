"""controld's end of a connection to a console on a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from controld.core.faults import NodeFault, NodeOffline
from controld.model.node import Node
from kit.clock import Clock
from kit.faults import Kind
from kit.http.alive import watch_silence
from kit.http.websocket import DirectClient
from kit.tasks import Tasks
from wire.agent.consoles import ConsoleAsk, ConsoleBegin, ConsoleResume, ConsoleWord, decode_word, encode

MOST_MESSAGE_BYTES: Final = 4 * 1024 * 1024

_PIECE_BYTES: Final = 64 * 1024
_PING_SECONDS: Final = 15.0
_CLOSE_SECONDS: Final = 3.0


class AgentConsole:
    """Carries bytes and words; output that comes before somebody listens waits."""

    def __init__(
        self,
        node: Node,
        websocket: aiohttp.ClientWebSocketResponse,
        asked: ConsoleBegin | ConsoleResume,
        *,
        clock: Clock,
    ) -> None:
        self._node = node
        self._websocket = websocket
        self._direct = DirectClient(websocket, max_message_bytes=MOST_MESSAGE_BYTES)
        self._end = self._direct.end
        self.drained = self._end.drained
        self.pause = self._end.pause
        self.resume = self._end.resume
        self._on_output: Callable[[bytes], None] | None = None
        self._early: list[bytes] = []
        self._tasks = Tasks("console line")
        self._direct.give_to(self._take)
        self._end.say(encode(asked))
        self._tasks.start("silence", self._watch(clock))

    def listen(self, on_output: Callable[[bytes], None]) -> None:
        """Tell what came early, and then all, where it arrives."""
        self._on_output = on_output
        early, self._early = self._early, []
        for data in early:
            on_output(data)
        self._direct.give_to(on_output)

    async def receive(self) -> ConsoleWord:
        """The agent's next word."""
        while True:
            try:
                message = await self._websocket.receive()
            except ConnectionError as error:  # it broke while a ping was answered
                raise self._lost() from error
            if message.type is aiohttp.WSMsgType.BINARY:
                self._take(message.data)
                self._direct.settle()
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._direct.settle()
                return self._decode(message.data)
            else:
                raise self._lost()

    def write(self, data: bytes) -> None:
        """Send input."""
        self._end.write(data, most_bytes=_PIECE_BYTES)

    def say(self, ask: ConsoleAsk) -> None:
        """Ask something of the console."""
        self._end.say(encode(ask))

    @property
    def is_full(self) -> bool:
        """Whether the agent takes less than it is sent."""
        return self._end.is_full

    async def close(self) -> None:
        """Leave the console as it is."""
        await self._tasks.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._websocket.close()
        except TimeoutError:
            self._end.abort()
        self._on_output = None
        self._direct.release()

    def _lost(self) -> NodeOffline:
        return NodeOffline(f"cannot go on with the console: the connection to node {self._node.name} was lost")

    def _take(self, data: bytes) -> None:
        if self._on_output is None:
            self._early.append(data)
        else:
            self._on_output(data)

    def _decode(self, text: str) -> ConsoleWord:
        try:
            return decode_word(text)
        except msgspec.MsgspecError as error:
            raise NodeFault(
                f"cannot read what node {self._node.name} says of a console: {error}",
                remote_code="unreadable",
                kind=Kind.INTERNAL,
            ) from error

    async def _watch(self, clock: Clock) -> None:
        await watch_silence(self._direct, self._websocket.ping, clock=clock, ping_seconds=_PING_SECONDS)
        self._end.abort()

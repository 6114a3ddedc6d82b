"""Consoles as controld asks for them."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from agent.core.console_session import ConsoleSession
from agent.core.consoles import Consoles
from kit.clock import Clock
from kit.faults import BadSyntax, Fault
from kit.http.alive import watch_silence
from kit.http.surface import Ask, Route
from kit.http.websocket import DirectEnd, DirectWebSocket
from kit.tasks import Tasks
from wire.agent.consoles import (
    ConsoleAsk,
    ConsoleBegin,
    ConsoleEnd,
    ConsoleEnded,
    ConsoleFailed,
    ConsoleInputEnd,
    ConsoleList,
    ConsoleReady,
    ConsoleResize,
    ConsoleResume,
    ConsoleTaken,
    decode_ask,
    encode,
)

_log = logging.getLogger(__name__)

_FIRST_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0
_MOST_BYTES: Final = 4 * 1024 * 1024
_FRAME_BYTES: Final = 32 * 1024
_PING_SECONDS: Final = 15.0
_FLUSH_SECONDS: Final = 10.0


class ConsoleRows:
    """The rows for consoles."""

    def __init__(self, consoles: Consoles, *, clock: Clock) -> None:
        self._consoles = consoles
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="GET",
                path="/consoles",
                access="controld",
                handler=self._list,
                summary="The consoles of this node",
                answer=ConsoleList,
            ),
            Route(
                method="GET",
                path="/consoles/{id}",
                access="controld",
                handler=self._keep,
                summary="Begin a console, or come back to it",
                stream="websocket",
            ),
            Route(
                method="DELETE",
                path="/consoles/{id}",
                access="controld",
                handler=self._end,
                summary="End a console with everything it started",
                status=204,
            ),
        )

    async def _list(self, ask: Ask) -> ConsoleList:
        del ask
        return ConsoleList(consoles=self._consoles.list())

    async def _end(self, ask: Ask) -> None:
        await self._consoles.end(ask.path["id"], how="evicted")

    async def _keep(self, ask: Ask) -> web.StreamResponse:
        websocket = DirectWebSocket(close_seconds=_CLOSE_SECONDS, max_message_bytes=_MOST_BYTES)
        await ask.open(websocket)
        tasks = Tasks("console viewer")
        try:
            await self._serve(ask.path["id"], websocket, tasks)
        except (ConnectionError, RuntimeError):
            _log.debug("console's connection broke", extra={"console_id": ask.path["id"]})
        finally:
            await tasks.close()
            websocket.release()
        return websocket

    async def _serve(self, console_id: str, websocket: DirectWebSocket, tasks: Tasks) -> None:
        try:
            asked = await _receive_first(websocket)
            session = await self._open(console_id, asked)
        except Fault as fault:
            await websocket.send_str(encode(ConsoleFailed(code=fault.code, message=fault.message)))
            await websocket.close()
            return
        viewer = _SocketViewer(websocket.end)
        try:
            position, missed = session.attach(viewer, received=_received(asked))
            # Nothing waits between these: what the shell says next goes out behind them.
            viewer.socket.say(encode(ConsoleReady(shell=session.shell.program, position=position)))
            viewer.write(missed)
            if session.ended is not None:
                viewer.end(session.ended)
            if isinstance(asked, ConsoleResume):
                await session.resize(viewer, cols=asked.cols, rows=asked.rows)
            await self._watch(session, viewer, websocket=websocket, tasks=tasks)
        finally:
            session.detach(viewer)

    async def _open(self, console_id: str, asked: ConsoleBegin | ConsoleResume) -> ConsoleSession:
        if isinstance(asked, ConsoleResume):
            return self._consoles.find(console_id)
        return await self._consoles.begin(console_id, asked)

    async def _watch(
        self, session: ConsoleSession, viewer: _SocketViewer, *, websocket: DirectWebSocket, tasks: Tasks
    ) -> None:
        websocket.give_to(functools.partial(session.write, viewer))
        reading = tasks.start("read", _read(session, viewer, websocket=websocket))
        silence = tasks.start(
            "silence", watch_silence(websocket, websocket.ping, clock=self._clock, ping_seconds=_PING_SECONDS)
        )
        let_go = tasks.start("let go", viewer.let_go.wait())
        await asyncio.wait([reading, silence, let_go], return_when=asyncio.FIRST_COMPLETED)
        if silence.done():
            viewer.socket.abort()
        elif let_go.done():
            try:
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await websocket.close()
            except TimeoutError:
                viewer.socket.abort()


class _SocketViewer:
    """controld's WebSocket as the console sees it."""

    def __init__(self, end: DirectEnd) -> None:
        self.socket = end
        self.let_go = asyncio.Event()
        self.drained = end.drained
        self.pause = end.pause
        self.resume = end.resume

    @property
    def is_full(self) -> bool:
        return self.socket.is_full

    def write(self, data: bytes) -> None:
        if data:
            self.socket.write(data, most_bytes=_FRAME_BYTES)

    def take_away(self) -> None:
        self._tell(ConsoleTaken())

    def end(self, ended: ConsoleEnded) -> None:
        self._tell(ended)

    def _tell(self, word: ConsoleTaken | ConsoleEnded) -> None:
        if not self.let_go.is_set():
            self.socket.say(encode(word))
            self.let_go.set()


async def _read(session: ConsoleSession, viewer: _SocketViewer, *, websocket: DirectWebSocket) -> None:
    """Take what controld says until it has gone."""
    while True:
        try:
            message = await websocket.receive()
        except ConnectionError:  # it broke while a ping was answered
            return
        if message.type is WSMsgType.BINARY:
            session.write(viewer, message.data)
        elif message.type is WSMsgType.TEXT:
            match _decode(message.data):
                case ConsoleResize(cols=cols, rows=rows):
                    await session.resize(viewer, cols=cols, rows=rows)
                case ConsoleInputEnd():
                    session.end_input(viewer)
                case ConsoleEnd(how=how):
                    session.end(how)
                case ConsoleBegin() | ConsoleResume():
                    raise BadSyntax("cannot open a console here: one is open")
        else:
            return
        websocket.settle()


async def _receive_first(websocket: DirectWebSocket) -> ConsoleBegin | ConsoleResume:
    try:
        message = await websocket.receive(_FIRST_SECONDS)
    except TimeoutError as error:
        raise BadSyntax("cannot open a console: nothing was asked") from error
    asked = _decode(message.data) if message.type is WSMsgType.TEXT else None
    if not isinstance(asked, ConsoleBegin | ConsoleResume):
        raise BadSyntax("cannot open a console: the first message has to begin one or come back to one")
    websocket.settle()
    return asked


def _decode(text: str) -> ConsoleAsk:
    try:
        return decode_ask(text)
    except msgspec.MsgspecError as error:
        raise BadSyntax(f"cannot read what the console is asked: {error}") from error


def _received(asked: ConsoleBegin | ConsoleResume) -> int | None:
    return asked.received if isinstance(asked, ConsoleResume) else None

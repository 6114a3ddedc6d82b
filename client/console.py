"""`moorage console`: a shell in a replica, come back to when the connection breaks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from client.api import Api
from client.faults import Refused, Unreachable
from client.opening import open_api
from client.services import find_service
from client.terminal import LocalTerminal
from kit.faults import Conflict
from kit.tasks import Tasks

EXIT_UNKNOWN: Final = 255

_RETURN_SECONDS: Final = 60.0
_END_KEY: Final = b"\x04"
"""What a terminal takes for the end of its input."""
_EOF_FRAME: Final = msgspec.json.encode({"type": "eof"}).decode()
_RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)
_PASSING: Final = frozenset({429, 500, 502, 503, 504})
_FINAL: Final = frozenset({aiohttp.WSCloseCode.OK, aiohttp.WSCloseCode.POLICY_VIOLATION})


class ConsoleFailed(Conflict):
    """controld opened no console, or took it away."""

    code = "console_failed"


class _Frame(msgspec.Struct, frozen=True):
    """A text frame, as far as the client has a use for it."""

    type: str
    session_id: str = ""
    position: int = 0
    code: int | None = None
    message: str = ""


@dataclasses.dataclass(slots=True)
class _Session:
    """The console: what of it was seen, and how it went."""

    service_id: str
    replica: int
    tty: bool
    session_id: str | None = None
    received: int = 0
    exit_code: int | None = None
    has_exited: bool = False
    said: str = ""


async def open_console(config: Path, name: str, *, replica: int, tty: bool) -> int:
    """Join this terminal with a shell in the service's replica; the shell's exit status, 255 where it is not known.

    Without `tty` the shell has pipes: what it writes comes as it is, and it ends with its input.
    """
    terminal = LocalTerminal()
    async with open_api(config) as api:
        session = _Session((await find_service(api, name)).id, replica, tty)
        websocket = await _connect(api, session, terminal)
        with terminal.raw() if tty else contextlib.nullcontext():
            await _stay(api, session, terminal, websocket)
    if session.has_exited:
        return EXIT_UNKNOWN if session.exit_code is None else session.exit_code
    raise ConsoleFailed(session.said or "the console was lost")


async def _stay(
    api: Api, session: _Session, terminal: LocalTerminal, websocket: aiohttp.ClientWebSocketResponse
) -> None:
    """Carry bytes until the console has ended, over as many connections as it takes."""
    current: list[aiohttp.ClientWebSocketResponse] = [websocket]
    ready = asyncio.Event()
    tasks = Tasks("console")
    ready.set()

    def note_size() -> None:
        cols, rows = terminal.size()
        tasks.start("resize", _send_quietly(current[0], {"type": "resize", "cols": cols, "rows": rows}))

    async def type_keys() -> None:
        async for data in terminal.keys():
            await send(data)
        await send(_END_KEY if session.tty else _EOF_FRAME)

    async def send(said: bytes | str) -> None:
        while True:
            await ready.wait()
            try:
                if isinstance(said, bytes):
                    await current[0].send_bytes(said)
                else:
                    await current[0].send_str(said)
                return
            except ConnectionError:
                await asyncio.sleep(_RETRY_SECONDS[0])

    tasks.start("keys", type_keys())
    try:
        with terminal.noting_size(note_size):
            while True:
                await _show(current[0], session, terminal)
                if session.has_exited or current[0].close_code in _FINAL or session.session_id is None:
                    return
                ready.clear()
                terminal.tell("connection lost, coming back")
                current[0] = await _come_back(api, session, terminal)
                terminal.tell("back")
                ready.set()
    finally:
        await tasks.close()
        await current[0].close()


async def _connect(api: Api, session: _Session, terminal: LocalTerminal) -> aiohttp.ClientWebSocketResponse:
    cols, rows = terminal.size()
    asked: dict[str, Any] = {"replica_index": session.replica, "cols": cols, "rows": rows}
    if session.session_id is not None:
        asked |= {"session_id": session.session_id, "received": session.received}
    ticket = await api.make_console_ticket(session.service_id, asked)
    return await api.connect_console(ticket, tty=session.tty)


async def _come_back(api: Api, session: _Session, terminal: LocalTerminal) -> aiohttp.ClientWebSocketResponse:
    """A fresh connection to the same console; raises what stands against it once that is final."""
    waits = iter(_RETRY_SECONDS)
    try:
        async with asyncio.timeout(_RETURN_SECONDS):
            while True:
                try:
                    return await _connect(api, session, terminal)
                except Unreachable:
                    pass  # its network, or controld, may be back in a moment
                except Refused as refused:
                    if refused.remote_status not in _PASSING:
                        raise
                await asyncio.sleep(next(waits, _RETRY_SECONDS[-1]))
    except TimeoutError as error:
        raise ConsoleFailed("cannot come back to the console: controld was not there in time") from error


async def _show(websocket: aiohttp.ClientWebSocketResponse, session: _Session, terminal: LocalTerminal) -> None:
    """Show what comes until the connection is over."""
    while True:
        message = await websocket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            session.received += len(message.data)
            await terminal.show(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            frame = msgspec.json.decode(message.data, type=_Frame)
            match frame.type:
                case "ready":
                    session.session_id, session.received = frame.session_id, frame.position
                case "exit":
                    session.exit_code, session.has_exited = frame.code, True
                case "error":
                    session.said = frame.message
                    terminal.tell(frame.message)
                case _:
                    continue  # a newer controld may say more
        else:
            return


async def _send_quietly(websocket: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
    try:
        await websocket.send_json(frame)
    except ConnectionError:
        return

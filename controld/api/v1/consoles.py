"""Consoles of services: replicas, tickets, the WebSocket, transcripts."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

from aiohttp import hdrs, web

from controld.api.v1.console_socket import SocketTerminal
from controld.api.v1.paging import PageQuery, answer_page, read_page
from controld.api.v1.shapes_console import (
    ConsoleQuery,
    ConsoleReplicaShape,
    ConsoleTicketAsked,
    ConsoleTicketShape,
    TranscriptShape,
    read_ask,
    render_replica,
    render_ticket,
    render_transcript,
)
from controld.core.console_connections import ConsoleConnections
from controld.core.consoles import Consoles
from controld.core.faults import (
    ConsoleNotFound,
    NoPromotedDeployment,
    OriginRefused,
    ReplicaNotRunning,
    ServiceNotFound,
    TicketRefused,
    TooManyConsoles,
    TranscriptNotFound,
)
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.surface import PUBLIC, Answer, Ask, Route
from kit.http.websocket import DirectWebSocket

_PATH: Final = "/v1/services/{service_id}/console"
_CAST: Final = "application/x-asciicast"
_CLOSE_SECONDS: Final = 3.0
_MOST_INPUT_BYTES: Final = 4 * 1024 * 1024


def routes(
    consoles: Consoles, connections: ConsoleConnections, *, clock: Clock, ping_seconds: float
) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_replicas(ask: Ask) -> list[ConsoleReplicaShape]:
        return [render_replica(each) for each in await consoles.list_replicas(ask.caller, ask.path["service_id"])]

    async def make_ticket(ask: Ask) -> ConsoleTicketShape:
        service_id = ask.path["service_id"]
        return render_ticket(await consoles.make_ticket(ask.caller, service_id, read_ask(ask.body)), service_id)

    async def connect(ask: Ask) -> web.StreamResponse:
        admission = await consoles.admit(
            ask.query.ticket,
            ask.path["service_id"],
            address=ask.peer,
            origin=ask.request.headers.get(hdrs.ORIGIN),
            host=ask.request.headers.get(hdrs.HOST, ""),
        )
        websocket = DirectWebSocket(close_seconds=_CLOSE_SECONDS, max_message_bytes=_MOST_INPUT_BYTES)
        try:
            await ask.open(websocket)
            terminal = SocketTerminal(websocket, clock=clock, ping_seconds=ping_seconds)
        except BaseException:
            connections.leave(admission)
            raise
        # A client that vanishes ends the request; the connection notices by itself, and tidies up.
        await asyncio.shield(connections.start(admission, terminal, tty=ask.query.tty))
        return websocket

    async def list_transcripts(ask: Ask) -> Answer:
        page = read_page(ask.query)
        found = await consoles.list_transcripts(ask.caller, ask.path["service_id"], page=page)
        return answer_page(ask, found, render_transcript)

    async def read_transcript(ask: Ask) -> web.StreamResponse:
        pieces = await consoles.read_transcript(ask.caller, ask.path["service_id"], ask.path["session_id"])
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: _CAST, hdrs.CACHE_CONTROL: "no-store"})
        async with aclosing(pieces):
            first = await anext(pieces, b"")
            await ask.open(response)
            await response.write(first)
            async for piece in pieces:
                await response.write(piece)
        return response

    return (
        Route(
            method="GET",
            path=f"{_PATH}/replicas",
            access="operator",
            handler=list_replicas,
            summary="The replicas in which a console can be opened, by index",
            answer=list[ConsoleReplicaShape],
            faults=(Forbidden, ServiceNotFound, NoPromotedDeployment),
        ),
        Route(
            method="POST",
            path=f"{_PATH}/tickets",
            access="operator",
            handler=make_ticket,
            summary="A ticket for one connection within 30 seconds, to a new console or back to one",
            body=ConsoleTicketAsked,
            answer=ConsoleTicketShape,
            faults=(Invalid, Forbidden, ServiceNotFound, NoPromotedDeployment, ReplicaNotRunning, ConsoleNotFound),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/ws",
            access=PUBLIC,
            handler=connect,
            summary="The console: binary messages are input and output, text messages are frames",
            query=ConsoleQuery,
            stream="websocket",
            throttled=False,
            faults=(Invalid, TicketRefused, OriginRefused, ServiceNotFound, ReplicaNotRunning, TooManyConsoles),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/transcripts",
            access="admin",
            handler=list_transcripts,
            summary="Consoles of which a transcript is kept, newest first",
            query=PageQuery,
            answer=list[TranscriptShape],
            faults=(Forbidden, ServiceNotFound),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/transcripts/{{session_id}}",
            access="admin",
            handler=read_transcript,
            summary="A transcript as an asciicast of version 2",
            stream=_CAST,
            faults=(Forbidden, ServiceNotFound, TranscriptNotFound),
        ),
    )

"""The way of one request: find the surface, recognise the caller, decode, call the handler, word what comes back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from aiohttp import hdrs, web

from kit.faults import BadSyntax, Invalid, MethodNotAllowed, Unauthenticated, UnknownPath
from kit.http.answers import CLIENT_GONE, is_gone, log_answer, render_failure, render_result
from kit.http.body import read_json_body, send_continue
from kit.http.routing import Bound, Place, Routing
from kit.http.surface import PUBLIC, Ask, HeadersSent, Surface
from kit.http.tally import Tally
from kit.ids import Ids
from kit.tasks import Tasks

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NO_PATH: Mapping[str, str] = {}


class Dispatch:
    """Answers requests for all surfaces, and knows what is under way so that a server can stop in good order."""

    def __init__(self, surfaces: Sequence[Surface], *, ids: Ids, tasks: Tasks, tally: Tally) -> None:
        self._surfaces = surfaces
        self._routing = Routing(surfaces)
        self._tally = tally
        self._new_id = ids.new_id
        self._tasks = tasks
        self._changing: set[asyncio.Task[web.StreamResponse]] = set()
        self._streams: dict[asyncio.Task[Any], Ask] = {}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._stopping = False

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to one request; it raises only CancelledError, when the client has gone or the server stops."""
        assert isinstance(request, web.Request)
        path = request.raw_path.partition("?")[0]
        if not path.startswith("/"):
            path = request.rel_url.raw_path
        self._in_flight += 1
        started = perf_counter()
        counted, status = self._tally.unmatched, CLIENT_GONE
        try:
            found = self._routing.find(path)
            if found is None:
                response = await self._miss(request, path)
            else:
                place, values = found
                bound = place.methods.get(request.method)
                if bound is None:
                    ask = Ask(request, self._new_id(), surface=place.surface, path=_NO_PATH)
                    response = await _refuse(ask, place)
                else:
                    counted = self._tally.of(bound.route, surface=bound.surface.name)
                    named = dict(zip(bound.names, values, strict=True)) if values else _NO_PATH
                    ask = Ask(request, self._new_id(), surface=bound.surface, path=named)
                    try:
                        await _ready(bound, ask)
                    except Exception as error:  # noqa: BLE001 - every failure is worded or logged there
                        response = render_failure(ask, error)
                    else:
                        if bound.changes:
                            response = await self._change(bound, ask)
                        elif bound.route.stream is not None:
                            response = await self._stream(bound, ask)
                        else:
                            response = await _handle(bound, ask)
            status = response.status
            return response
        finally:
            counted.add(status, perf_counter() - started)
            self._in_flight -= 1
            if not self._in_flight and self._stopping:
                self._idle.set()

    def refuse_malformed(self, request: web.BaseRequest, why: str) -> web.StreamResponse:
        """The answer to what cannot be read as a request, by the surface of `/` or else the first."""
        assert isinstance(request, web.Request)
        self._tally.unmatched.add(400, 0.0)
        surface = self._routing.surface_of("/") or self._surfaces[0]
        reason = why.partition("\n")[0].strip(" .:") or "it is not HTTP/1.1"
        fault = BadSyntax(f"cannot read the request: {reason}")
        return render_failure(Ask(request, self._new_id(), surface=surface, path=_NO_PATH), fault)

    async def end_streams(self, limit_seconds: float) -> None:
        """Close WebSockets as going away and end every other stream, each step within that many seconds."""
        self._stopping = True
        for ask in self._streams.values():
            if isinstance(ask.opened, web.WebSocketResponse):
                self._tasks.start("close websocket", _go_away(ask.opened))
        if any(isinstance(ask.opened, web.WebSocketResponse) for ask in self._streams.values()):
            await asyncio.wait(list(self._streams), timeout=limit_seconds)
        ending = list(self._streams)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=limit_seconds)

    async def settle(self, grace_seconds: float) -> None:
        """Wait until no request is under way and no change still runs, for at most that long."""
        self._stopping = True
        try:
            async with asyncio.timeout(grace_seconds):
                if self._in_flight:
                    await self._idle.wait()
                while self._changing:
                    await asyncio.wait(list(self._changing))
        except TimeoutError:
            return

    async def _miss(self, request: web.Request, path: str) -> web.StreamResponse:
        surface = self._routing.surface_of(path)
        if surface is None:
            return web.Response(status=404, headers={"X-Request-Id": self._new_id()})
        return await _refuse(Ask(request, self._new_id(), surface=surface, path=_NO_PATH), None)

    async def _change(self, bound: Bound, ask: Ask) -> web.StreamResponse:
        task = self._tasks.start(f"{bound.route.method} {bound.route.path}", _handle(bound, ask))
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        return await asyncio.shield(task)

    async def _stream(self, bound: Bound, ask: Ask) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._streams[task] = ask
        counted = self._tally.of(bound.route, surface=bound.surface.name)
        counted.open_streams += 1
        try:
            return await _handle(bound, ask)
        except asyncio.CancelledError:
            if not self._stopping or ask.opened is None or is_gone(ask.request):
                raise
            task.uncancel()
            ask.opened.force_close()
            return ask.opened
        finally:
            counted.open_streams -= 1
            del self._streams[task]


async def _ready(bound: Bound, ask: Ask) -> None:
    """Recognise the caller and decode the ask, in the order that the surface wants its faults told."""
    route, surface, request = bound.route, bound.surface, ask.request
    if surface.before is not None and route.throttled:
        surface.before(request)
    if not surface.credential_first:
        _read_ids(bound, ask)
    if route.access != PUBLIC:
        ask.caller = await _authenticate(surface, request)
    if surface.credential_first:
        _read_ids(bound, ask)
    if bound.decode_query is not None:
        ask.query = bound.decode_query(request.raw_path.partition("?")[2])
    if bound.decode_body is not None:
        absent = not bound.needs_body and not request.can_read_body
        ask.body = bound.decode_body(b"{}" if absent else await read_json_body(request, route.max_body_bytes))
    elif route.raw_body is not None:
        await send_continue(request)
    if route.stream == "websocket" and not _wants_websocket(request):
        raise Invalid("cannot answer: this path speaks WebSocket only")


async def _handle(bound: Bound, ask: Ask) -> web.StreamResponse:
    try:
        response = render_result(ask, await bound.route.handler(ask), status=bound.route.status, head=bound.head)
        log_answer(ask, response)
        return response
    except HeadersSent:
        assert ask.opened is not None
        return ask.opened
    except Exception as error:  # noqa: BLE001 - every failure is worded or logged there
        return render_failure(ask, error)


async def _refuse(ask: Ask, place: Place | None) -> web.StreamResponse:
    """Answer a path without a route, or (with its place) a method that the path does not have."""
    request, surface = ask.request, ask.surface
    try:
        if place is None and surface.not_found is not None:
            return render_result(ask, await surface.not_found(ask), status=200)
        if surface.before is not None:
            surface.before(request)
        if surface.credential_first and not (place is not None and place.is_public):
            await _authenticate(surface, request)
        if place is None:
            raise UnknownPath(f"cannot find {request.path}: no such path")
        raise MethodNotAllowed(
            f"cannot {request.method} {request.path}: it answers {', '.join(place.allow)}",
            details={"allow": list(place.allow)},
        )
    except Exception as error:  # noqa: BLE001 - every failure is worded or logged there
        return render_failure(ask, error)


async def _authenticate(surface: Surface, request: web.Request) -> Any:
    caller = await surface.authenticate(request)
    if caller is None:
        raise Unauthenticated("cannot tell who is calling: send a credential")
    return caller


def _read_ids(bound: Bound, ask: Ask) -> None:
    for name in bound.ids:
        value = ask.path[name]
        if _UUID.fullmatch(value) is not None:
            continue
        if _UUID.fullmatch(value.lower()) is None:
            raise Invalid(f"cannot read path: {name} is not a UUID", details={"field": name})
        ask.path = {**ask.path, name: value.lower()}


def _wants_websocket(request: web.Request) -> bool:
    return request.method == hdrs.METH_GET and request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


async def _go_away(websocket: web.WebSocketResponse) -> None:
    await websocket.close(code=1001, message=b"server stops")

"""The way of one request: find the surface, recognise the caller, decode, call the handler, word what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import hdrs, web

from kit.faults import (
    BadSyntax,
    Fault,
    Internal,
    Invalid,
    MethodNotAllowed,
    TooLarge,
    Unauthenticated,
    UnknownPath,
    UnsupportedMedia,
)
from kit.http.routing import Bound, Place, Routing
from kit.http.surface import PUBLIC, Answer, Ask, HeadersSent, Surface
from kit.ids import Ids
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_JSON = "application/json"
_NO_PATH: Mapping[str, str] = {}
_encode = msgspec.json.Encoder().encode


class Dispatch:
    """Answers requests for all surfaces, and knows what is under way so that a server can stop in good order."""

    def __init__(self, surfaces: Sequence[Surface], *, ids: Ids, tasks: Tasks) -> None:
        self._routing = Routing(surfaces)
        self._new_id = ids.new_id
        self._tasks = tasks
        self._changing: set[asyncio.Task[web.StreamResponse]] = set()
        self._streams: dict[asyncio.Task[Any], Ask] = {}
        self._in_flight = 0
        self._idle: asyncio.Event | None = None
        self._stopping = False

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to one request; it raises only when the client has gone or the server stops."""
        assert isinstance(request, web.Request)
        request_id = self._new_id()
        path = request.raw_path.partition("?")[0]
        if not path.startswith("/"):
            path = request.rel_url.raw_path
        found = self._routing.find(path)
        self._in_flight += 1
        try:
            if found is not None:
                place, values = found
                bound = place.methods.get(request.method)
                if bound is not None:
                    return await self._call(request, request_id, bound, values)
                return await self._refuse(request, request_id, place.surface, place=place)
            surface = self._routing.surface_of(path)
            if surface is None:
                return web.Response(status=404, headers={"X-Request-Id": request_id})
            return await self._refuse(request, request_id, surface, place=None)
        finally:
            self._in_flight -= 1
            if self._idle is not None and not self._in_flight:
                self._idle.set()

    async def end_streams(self, limit_seconds: float) -> None:
        """Close WebSockets as going away and end every other stream, within that many seconds."""
        self._stopping = True
        sockets = [ask.opened for ask in self._streams.values() if isinstance(ask.opened, web.WebSocketResponse)]
        if sockets:
            closing = (socket.close(code=1001, message=b"server stops", drain=False) for socket in sockets)
            closed = asyncio.gather(*closing, return_exceptions=True)
            await asyncio.wait([closed], timeout=limit_seconds)
        ending = list(self._streams)
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=limit_seconds)

    async def settle(self, grace_seconds: float) -> None:
        """Wait until no request is under way, for at most that long."""
        deadline = asyncio.get_running_loop().time() + grace_seconds
        if self._in_flight:
            self._idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace_seconds)
        if self._changing:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait(list(self._changing), timeout=left)

    async def _call(
        self, request: web.Request, request_id: str, bound: Bound, values: Sequence[str]
    ) -> web.StreamResponse:
        route = bound.route
        surface = bound.surface
        ask = Ask(
            request,
            request_id,
            headers=surface.response_headers,
            path=dict(zip(bound.names, values, strict=True)) if values else _NO_PATH,
        )
        try:
            if surface.before is not None and route.throttled:
                surface.before(request)
            if route.access == PUBLIC:
                _check_ids(bound, ask.path)
            elif surface.credential_first:
                ask.caller = await _authenticate(surface, request)
                _check_ids(bound, ask.path)
            else:
                _check_ids(bound, ask.path)
                ask.caller = await _authenticate(surface, request)
            if bound.decode_query is not None:
                ask.query = bound.decode_query(request.raw_path.partition("?")[2])
            if bound.decode_body is not None:
                ask.body = bound.decode_body(await _read_body(request, route.max_body_bytes))
            elif route.raw_body is not None:
                await _continue(request)
            if route.stream == "websocket" and not _wants_websocket(request):
                raise Invalid("cannot answer: this path speaks WebSocket only")
        except Exception as error:  # noqa: BLE001 - every failure is worded or logged by _word
            return self._word(request, ask, surface, error)
        if bound.changes:
            return await self._change(bound, ask)
        if route.stream is not None:
            return await self._stream(bound, ask)
        return await self._handle(bound, ask)

    async def _handle(self, bound: Bound, ask: Ask) -> web.StreamResponse:
        try:
            return _render(ask, await bound.route.handler(ask), bound.route.status)
        except HeadersSent:
            assert ask.opened is not None
            return ask.opened
        except Exception as error:  # noqa: BLE001 - every failure is worded or logged by _word
            return self._word(ask.request, ask, bound.surface, error)

    async def _change(self, bound: Bound, ask: Ask) -> web.StreamResponse:
        task = self._tasks.start(f"{bound.route.method} {bound.route.path}", self._handle(bound, ask))
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        return await asyncio.shield(task)

    async def _stream(self, bound: Bound, ask: Ask) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._streams[task] = ask
        try:
            return await self._handle(bound, ask)
        except asyncio.CancelledError:
            if not self._stopping or ask.opened is None or _is_gone(ask.request):
                raise
            task.uncancel()
            ask.opened.force_close()
            return ask.opened
        finally:
            del self._streams[task]

    async def _refuse(
        self, request: web.Request, request_id: str, surface: Surface, *, place: Place | None
    ) -> web.StreamResponse:
        ask = Ask(request, request_id, headers=surface.response_headers, path=_NO_PATH)
        try:
            if place is None and surface.not_found is not None:
                return _render(ask, await surface.not_found(ask), 200)
            if surface.before is not None:
                surface.before(request)
            if surface.credential_first and not (place is not None and place.is_public):
                await _authenticate(surface, request)
            if place is None:
                raise UnknownPath(f"cannot find {unquote(request.path)}: no such path")
            raise MethodNotAllowed(
                f"cannot {request.method} {request.path}: it answers {', '.join(place.allow)}",
                details={"allow": list(place.allow)},
            )
        except Exception as error:  # noqa: BLE001 - every failure is worded or logged by _word
            return self._word(request, ask, surface, error)

    def _word(self, request: web.Request, ask: Ask, surface: Surface, error: Exception) -> web.StreamResponse:
        """Word a failure for the client; what cannot be told to anyone is raised on."""
        if isinstance(error, Fault):
            fault = error
        elif _is_gone(request):
            raise error
        elif isinstance(error, web.RequestPayloadError):
            fault = BadSyntax("cannot read body: its framing is broken")
        else:
            fault = Internal("internal server error")
            _log.error(
                "request failed",
                extra={"request_id": ask.request_id, "method": request.method, "path": request.path},
                exc_info=error,
            )
        if ask.opened is not None:
            ask.opened.force_close()
            return ask.opened
        response = surface.render_fault(request, fault)
        ask.dress(response)
        if fault.retry_after_seconds is not None:
            response.headers.setdefault(hdrs.RETRY_AFTER, str(fault.retry_after_seconds))
        if isinstance(fault, MethodNotAllowed) and isinstance(allow := fault.details.get("allow"), list):
            response.headers.setdefault(hdrs.ALLOW, ", ".join(allow))
        _log.debug(
            "request refused",
            extra={"request_id": ask.request_id, "method": request.method, "path": request.path, "code": fault.code},
        )
        return response


async def _authenticate(surface: Surface, request: web.Request) -> Any:
    caller = await surface.authenticate(request)
    if caller is None:
        raise Unauthenticated("cannot tell who is calling: send a credential")
    return caller


def _check_ids(bound: Bound, path: Mapping[str, str]) -> None:
    for name in bound.ids:
        if _UUID.fullmatch(path[name]) is None:
            raise Invalid(f"cannot read path: {name} is not a lowercase UUID", details={"field": name})


async def _read_body(request: web.Request, limit_bytes: int) -> bytes:
    if not _is_json(request.headers.get(hdrs.CONTENT_TYPE, "")):
        raise UnsupportedMedia(f"cannot read body: send it with Content-Type {_JSON}")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise UnsupportedMedia("cannot read body: send it without a Content-Encoding")
    announced = request.content_length
    if announced is not None and announced > limit_bytes:
        raise TooLarge(f"cannot read body: it is larger than {limit_bytes} bytes")
    await _continue(request)
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > limit_bytes:
            raise TooLarge(f"cannot read body: it is larger than {limit_bytes} bytes")
    return bytes(data)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == _JSON or (kind.startswith("application/") and kind.endswith("+json"))


async def _continue(request: web.Request) -> None:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _wants_websocket(request: web.Request) -> bool:
    return request.method == hdrs.METH_GET and request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


def _is_gone(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()


def _render(ask: Ask, result: object, status: int) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        if not result.prepared:
            ask.dress(result)
        return result
    headers: Mapping[str, str] = {}
    if isinstance(result, Answer):
        status, headers, result = result.status, result.headers, result.body
    if result is None:
        response = web.Response(status=status, headers=headers)
    elif isinstance(result, bytes):
        response = web.Response(body=result, status=status, headers=headers)
    else:
        response = web.Response(body=_encode(result), status=status, headers=headers)
        response.headers.setdefault(hdrs.CONTENT_TYPE, _JSON)
    ask.dress(response)
    return response

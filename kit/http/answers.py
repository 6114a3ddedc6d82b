"""Turns what a handler returns, and what it raises, into the response that goes out."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec
from aiohttp import hdrs, web

from kit.faults import BadSyntax, Fault, Internal, Kind, MethodNotAllowed
from kit.http.ready import Ready, may_be_ready
from kit.http.surface import Answer, Ask

_log = logging.getLogger(__name__)

_JSON = "application/json"
CLIENT_GONE = 499
"""Nobody reads this status: it is how nginx counts clients that hang up."""
_NO_HEADERS: Mapping[str, str] = {}
_encode = msgspec.json.Encoder().encode


def render_result(ask: Ask, result: object, *, status: int, head: bytes | None = None) -> web.StreamResponse:
    """The response for a result: a response as it is, an Answer with its own status, anything else as JSON.

    `head` is what `render_head` made for the status and the surface; with it, a small result goes out as `Ready`.
    """
    if isinstance(result, web.StreamResponse):
        if not result.prepared:
            ask.dress(result)
        return result
    headers = _NO_HEADERS
    if isinstance(result, Answer):
        head = None
        status, headers, result = result.status, result.headers, result.body
    if result is None or isinstance(result, bytes):
        response = web.Response(body=result, status=status, headers=headers)
    else:
        data = _encode(result)
        if head is not None and may_be_ready(ask.request, data):
            return Ready(status, head=head, request_id=ask.request_id, data=data)
        response = web.Response(body=data, status=status, headers=headers)
        response.headers.setdefault(hdrs.CONTENT_TYPE, _JSON)
    ask.dress(response)
    return response


def render_failure(ask: Ask, error: Exception) -> web.StreamResponse:
    """The response that words a failure as the surface does; a bug is logged once with the request's id and told as
    Internal. That a client has gone is no failure, and nobody reads the answer.
    """
    request = ask.request
    if isinstance(error, Fault):
        fault = error
    elif is_gone(request) and isinstance(error, (ConnectionError, web.RequestPayloadError)):
        return ask.opened or web.Response(status=CLIENT_GONE)
    elif isinstance(error, web.RequestPayloadError):
        fault = BadSyntax("cannot read body: its framing is broken")
    else:
        fault = Internal("internal server error")
        _log.error("request failed", extra=_facts(ask), exc_info=error)
    if ask.opened is not None:
        ask.opened.force_close()
        return ask.opened
    if fault.kind is Kind.FORBIDDEN and ask.caller is not None and ask.surface.note_forbidden is not None:
        ask.surface.note_forbidden(ask.caller, f"{request.method} {request.path}", fault)
    response = ask.surface.render_fault(request, fault)
    ask.dress(response)
    if fault.retry_after_seconds is not None:
        response.headers.setdefault(hdrs.RETRY_AFTER, str(fault.retry_after_seconds))
    if isinstance(fault, MethodNotAllowed) and isinstance(allow := fault.details.get("allow"), list):
        response.headers.setdefault(hdrs.ALLOW, ", ".join(allow))
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("request refused", extra={**_facts(ask), "code": fault.code})
    return response


def log_answer(ask: Ask, response: web.StreamResponse) -> None:
    """Leave a line about the answer when the log is at debug."""
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("request answered", extra={**_facts(ask), "status": response.status})


def is_gone(request: web.BaseRequest) -> bool:
    """Whether the client's connection is closed or closing."""
    transport = request.transport
    return transport is None or transport.is_closing()


def _facts(ask: Ask) -> dict[str, str]:
    return {"request_id": ask.request_id, "method": ask.request.method, "path": ask.request.path}

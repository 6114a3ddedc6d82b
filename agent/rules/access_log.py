"""Makes records of the proxy's access log, with identifiers taken out of the paths."""

from __future__ import annotations

import datetime as dt
import re

import msgspec

from agent.model.ingress import INNER_SUFFIX, WAKER_PREFIX
from agent.model.requests import AccessEntry

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TOKEN = re.compile(r"[0-9A-Fa-f]{33,}")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_SHORTEST_IDENTIFIER = 33
_NO_SERVER = "<NOSRV>"
_ABSENT = "-"
_LEFT_UNANSWERED = frozenset({"CR", "CQ", "CC", "CH"})
"""The client left before any response; the status on the line is then one that HAProxy had nobody to send to."""


class _Line(msgspec.Struct, frozen=True):
    """One datagram, as the base file's `log-format` writes it; absent strings are `-`."""

    at_ms: int
    host: str
    route: str
    server: str
    method: str
    path: str
    status: int
    bytes: int
    duration_ms: int
    end: str


_decoder = msgspec.json.Decoder(_Line)


def parse_access_log(datagram: bytes) -> AccessEntry | None:
    """The record of one datagram; None when it is not whole or tells of a request that reached no service."""
    try:
        line = _decoder.decode(datagram)
        recorded_at = dt.datetime.fromtimestamp(line.at_ms / 1000, dt.UTC)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, OSError, ValueError):
        return None
    if line.route in {_ABSENT, ""}:
        return None
    return AccessEntry(
        route=line.route.removesuffix(INNER_SUFFIX),
        host=line.host,
        replica=None if line.server in {_NO_SERVER, _ABSENT} or line.server.startswith(WAKER_PREFIX) else line.server,
        method=line.method,
        path=sanitise_path(line.path),
        status=0 if line.end[:2] in _LEFT_UNANSWERED else max(line.status, 0),
        bytes=max(line.bytes, 0),
        duration_ms=line.duration_ms if line.duration_ms >= 0 else None,
        recorded_at=recorded_at,
        termination=line.end,
    )


def sanitise_path(target: str) -> str:
    """The path of a request target alone, with `{id}` for UUIDs and `{token}` for long hexadecimal segments."""
    path = target.partition("?")[0].partition("#")[0]
    if not path.startswith("/") and (absolute := _ABSOLUTE.match(path)):
        path = path[absolute.end() :] or "/"
    if len(path) < _SHORTEST_IDENTIFIER:
        return path
    return "/".join(_sanitise_segment(segment) for segment in path.split("/"))


def _sanitise_segment(segment: str) -> str:
    if len(segment) < _SHORTEST_IDENTIFIER:
        return segment
    if _UUID.fullmatch(segment):
        return "{id}"
    return "{token}" if _TOKEN.fullmatch(segment) else segment

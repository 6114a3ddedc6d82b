"""How `/v1` words a fault, and the headers that all of its answers carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from kit.faults import Fault, Kind, Unauthenticated

HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), camera=(), payment=(), usb=(), interest-cohort=()",
}


class FaultShape(msgspec.Struct, frozen=True):
    """A fault as `/v1` tells it: a sentence for people and a stable code for machines."""

    error: str
    code: str


def render_fault(request: web.Request, fault: Fault) -> web.Response:
    """The fault in its envelope; a missing or invalid credential has an empty body."""
    del request
    if fault.kind is Kind.UNAUTHENTICATED and fault.code == Unauthenticated.code:
        return web.Response(status=401)
    body = msgspec.json.encode(FaultShape(fault.message, fault.code))
    return web.Response(status=fault.status, body=body, content_type="application/json")

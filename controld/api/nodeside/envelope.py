"""How the node side words a fault."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from kit.faults import Fault


class FaultBody(msgspec.Struct, frozen=True, kw_only=True):
    """A fault on the wire."""

    error: str
    code: str
    details: dict[str, Any]


def render_fault(request: web.Request, fault: Fault) -> web.Response:
    """The fault as JSON under the status of its kind."""
    del request
    body = FaultBody(error=fault.message, code=fault.code, details=dict(fault.details))
    return web.Response(body=msgspec.json.encode(body), status=fault.status, content_type="application/json")

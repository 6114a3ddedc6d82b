"""How the agent words a fault to controld and to local programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from kit.faults import Fault


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every failed answer."""

    error: str
    code: str


def render_fault(request: web.Request, fault: Fault) -> web.StreamResponse:
    """`{"error", "code"}` with the fault's status."""
    del request
    body = msgspec.json.encode(Refusal(error=fault.message, code=fault.code))
    return web.Response(status=fault.status, body=body, content_type="application/json")

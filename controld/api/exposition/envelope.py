"""How the page words a fault: a line of text, as what reads it shows to people."""

from __future__ import annotations

from aiohttp import web

from kit.faults import Fault


def render_fault(request: web.Request, fault: Fault) -> web.Response:
    """The fault under the status of its kind."""
    del request
    return web.Response(text=f"{fault.code}: {fault.message}\n", status=fault.status)

"""Who may speak to the agent: over TLS controld alone, by the name in its certificate."""

from __future__ import annotations

from aiohttp import web

from kit.faults import Unauthenticated
from wire.identity import CONTROL_URI


async def authenticate_controld(request: web.Request) -> str:
    """The caller's name; raises Unauthenticated for a certificate that is not controld's.

    The TLS layer has already checked that our authority signed it.
    """
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    names = certificate.get("subjectAltName", ()) if certificate else ()
    if ("URI", CONTROL_URI) not in names:
        raise Unauthenticated("cannot answer: the agent speaks to controld alone")
    return CONTROL_URI


async def authenticate_nobody(request: web.Request) -> None:
    """No caller: each route of the loopback listener checks what it needs."""
    del request

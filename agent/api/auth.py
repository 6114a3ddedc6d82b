"""Who may speak to the agent: over TLS controld alone, by the name in its certificate."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from kit.faults import Unauthenticated

CONTROLD: Final = "moorage://controld"


async def authenticate_controld(request: web.Request) -> str:
    """The caller's name; raises Unauthenticated for a certificate that is not controld's.

    The TLS layer has already checked that our authority signed it.
    """
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    names = certificate.get("subjectAltName", ()) if certificate else ()
    if ("URI", CONTROLD) not in names:
        raise Unauthenticated("cannot answer: the agent speaks to controld alone")
    return CONTROLD


async def authenticate_nobody(request: web.Request) -> None:
    """No caller: each route of the loopback listener checks what it needs."""
    del request

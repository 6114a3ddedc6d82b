"""A surface free of product words, for the tests of the server."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from kit.faults import Fault, Unauthenticated
from kit.http.surface import Route, Surface, ToldFaults

GOOD = {"Authorization": "Bearer good"}
FOREIGN = {"Authorization": "Bearer foreign"}


class Told(msgspec.Struct, frozen=True):
    """How the plain surface words a fault."""

    code: str
    message: str
    details: dict[str, Any]


async def authenticate(request: web.Request) -> str | None:
    header = request.headers.get("Authorization")
    if header is None:
        return None
    if header != GOOD["Authorization"]:
        raise Unauthenticated("cannot tell who is calling: the credential is not known")
    return "ada"


def render_fault(_: web.Request, fault: Fault) -> web.Response:
    told = Told(code=fault.code, message=fault.message, details=dict(fault.details))
    return web.Response(body=msgspec.json.encode(told), status=fault.status, content_type="application/json")


def surface(*routes: Route, claim: str = "/plain", **more: Any) -> Surface:
    named: dict[str, Any] = {
        "name": claim.strip("/") or "root",
        "title": "Plain",
        "version": "1",
        "claims": (claim,),
        "authenticate": authenticate,
        "render_fault": render_fault,
        "response_headers": {"X-Frame-Options": "DENY"},
        "told_faults": ToldFaults(shape=Told),
    }
    return Surface(routes=routes, **{**named, **more})

"""The one route that Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Callable

from controld.api.exposition.auth import ScrapeAuth
from controld.api.exposition.envelope import render_fault
from controld.core.exposition import Exposition
from controld.model.caller import Caller
from kit.exposition import CONTENT_TYPE, render_exposition
from kit.faults import Fault, Forbidden
from kit.http.surface import Answer, Ask, Route, Surface
from wire.version import RELEASE


def make_surface(
    exposition: Exposition, *, auth: ScrapeAuth, note_forbidden: Callable[[Caller, str, Fault], None]
) -> Surface:
    """The page for super-admins and whoever holds the metrics token."""

    async def read(ask: Ask) -> Answer:
        body = render_exposition(await exposition.gather(ask.caller))
        return Answer(200, body=body, headers={"Content-Type": CONTENT_TYPE})

    return Surface(
        name="exposition",
        title="Moorage metrics",
        version=RELEASE,
        claims=("/metrics",),
        routes=(
            Route(
                method="GET",
                path="/metrics",
                access="super-admin",
                handler=read,
                summary="Numbers of controld, for Prometheus",
                content="text/plain",
                faults=(Forbidden,),
            ),
        ),
        authenticate=auth.authenticate,
        render_fault=render_fault,
        credential_first=True,
        response_headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        note_forbidden=note_forbidden,
    )

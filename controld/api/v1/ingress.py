"""The routes of all nodes."""

from __future__ import annotations

from controld.api.v1.shapes_platform import IngressRouteShape, render_route
from controld.core.ingress import IngressRoutes
from kit.faults import Forbidden
from kit.http.surface import Ask, Route


def routes(ingress: IngressRoutes) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_routes(ask: Ask) -> list[IngressRouteShape]:
        return [render_route(route) for route in await ingress.list(ask.caller)]

    return (
        Route(
            method="GET",
            path="/v1/ingress/routes",
            access="super-admin",
            handler=list_routes,
            summary="Every route of every node's ingress, by service name",
            answer=list[IngressRouteShape],
            faults=(Forbidden,),
        ),
    )

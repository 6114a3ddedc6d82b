"""The newest requests of services."""

from __future__ import annotations

from controld.api.v1.shapes_observe import RequestShape, render_request
from controld.core.faults import NodeOffline, ServiceNotFound
from controld.core.requests import Requests
from kit.http.surface import Ask, Route


def routes(requests: Requests) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_requests(ask: Ask) -> list[RequestShape]:
        return [render_request(each) for each in await requests.list(ask.caller, ask.path["service_id"])]

    return (
        Route(
            method="GET",
            path="/v1/services/{service_id}/requests",
            access="viewer",
            handler=list_requests,
            summary="The newest 200 requests, newest first",
            answer=list[RequestShape],
            faults=(ServiceNotFound, NodeOffline),
        ),
    )

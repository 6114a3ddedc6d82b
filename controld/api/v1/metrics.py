"""Readings of services."""

from __future__ import annotations

from controld.api.v1.shapes_observe import ServiceReadingShape, render_reading
from controld.core.faults import ServiceNotFound
from controld.core.metrics import Metrics
from kit.http.surface import Ask, Route


def routes(metrics: Metrics) -> tuple[Route, ...]:
    """The rows of this file."""

    async def read_service(ask: Ask) -> list[ServiceReadingShape]:
        reading = await metrics.read_service(ask.caller, ask.path["service_id"])
        return [] if reading is None else [render_reading(reading)]

    return (
        Route(
            method="GET",
            path="/v1/services/{service_id}/metrics",
            access="viewer",
            handler=read_service,
            summary="What the promoted deployment uses, in one element; empty when nothing runs or could be read",
            answer=list[ServiceReadingShape],
            faults=(ServiceNotFound,),
        ),
    )

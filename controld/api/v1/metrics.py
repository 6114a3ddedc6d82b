"""Readings of services."""

from __future__ import annotations

from controld.api.v1.shapes_history import (
    HistoryQuery,
    NodeHistoryShape,
    ServiceHistoryShape,
    render_node_past,
    render_past,
)
from controld.api.v1.shapes_observe import ServiceReadingShape, render_reading
from controld.core.faults import NodeNotFound, ServiceNotFound
from controld.core.metrics import Metrics
from kit.clock import Clock
from kit.faults import Forbidden
from kit.http.surface import Ask, Route


def routes(metrics: Metrics, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""

    async def read_service(ask: Ask) -> list[ServiceReadingShape] | ServiceHistoryShape:
        query: HistoryQuery = ask.query
        if query.since is not None or query.step is not None:
            since, step_seconds = query.resolve(clock.now())
            return render_past(
                await metrics.read_past(ask.caller, ask.path["service_id"], since=since, step_seconds=step_seconds)
            )
        reading = await metrics.read_service(ask.caller, ask.path["service_id"])
        return [] if reading is None else [render_reading(reading)]

    async def read_node(ask: Ask) -> NodeHistoryShape:
        since, step_seconds = ask.query.resolve(clock.now())
        return render_node_past(
            await metrics.read_node_past(ask.caller, ask.path["node_id"], since=since, step_seconds=step_seconds)
        )

    return (
        Route(
            method="GET",
            path="/v1/nodes/{node_id}/metrics",
            access="super-admin",
            handler=read_node,
            summary="What a node used lately",
            query=HistoryQuery,
            answer=NodeHistoryShape,
            faults=(Forbidden, NodeNotFound),
        ),
        Route(
            method="GET",
            path="/v1/services/{service_id}/metrics",
            access="viewer",
            handler=read_service,
            summary="What the promoted deployment uses, in one element, empty when nothing runs or could be read; with "
            "`since` or `step` what every replica used lately",
            query=HistoryQuery,
            answer=list[ServiceReadingShape] | ServiceHistoryShape,
            faults=(ServiceNotFound,),
        ),
    )

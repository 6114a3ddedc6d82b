"""Services as they run."""

from __future__ import annotations

from controld.api.v1.shapes_workload import WorkloadShape, render_workload
from controld.core.workloads import Workloads
from kit.http.surface import Ask, Route


def routes(workloads: Workloads) -> tuple[Route, ...]:
    """The row of this file."""

    async def list_workloads(ask: Ask) -> list[WorkloadShape]:
        return [render_workload(workload) for workload in await workloads.list(ask.caller)]

    return (
        Route(
            method="GET",
            path="/v1/workloads",
            access="any",
            handler=list_workloads,
            summary="The services in the caller's projects as they run now, by name",
            answer=list[WorkloadShape],
        ),
    )

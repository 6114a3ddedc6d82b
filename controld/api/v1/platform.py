"""Health, and the platform's word on itself."""

from __future__ import annotations

from controld.api.v1.shapes_platform import NodeSnapshotShape, PlatformShape, render_node, render_snapshot
from controld.core.platform import Platform
from kit.faults import Forbidden, Unavailable
from kit.http.surface import PUBLIC, Ask, Route
from wire.base import Lenient


class HealthShape(Lenient, frozen=True):
    """controld answers."""

    status: str = "ok"
    ok: bool = True


_HEALTHY = HealthShape()


def routes(platform: Platform) -> tuple[Route, ...]:
    """The rows of this file."""

    async def get_health(_: Ask) -> HealthShape:
        return _HEALTHY

    async def get_node(ask: Ask) -> PlatformShape:
        return render_node(platform.control_domain, platform.find_host_report(ask.caller))

    async def get_node_metrics(ask: Ask) -> NodeSnapshotShape:
        return render_snapshot(platform.get_host_report(ask.caller))

    return (
        Route(
            method="GET",
            path="/healthz",
            access=PUBLIC,
            handler=get_health,
            summary="Say that controld answers",
            answer=HealthShape,
            throttled=False,
        ),
        Route(
            method="GET",
            path="/v1/node",
            access="any",
            handler=get_node,
            summary="The platform's domain, and numbers of the host for super-admins",
            answer=PlatformShape,
        ),
        Route(
            method="GET",
            path="/v1/metrics/node",
            access="super-admin",
            handler=get_node_metrics,
            summary="Numbers of the host",
            answer=NodeSnapshotShape,
            faults=(Forbidden, Unavailable),
        ),
    )

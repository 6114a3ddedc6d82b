"""Readings of replicas and of the node, and the newest requests, as controld asks for them."""

from __future__ import annotations

from agent.core.faults import EngineUnavailable, HostUnreadable
from agent.core.metrics import Metrics
from agent.core.requests import RecentRequests
from agent.model.requests import AccessEntry
from kit.http.surface import Ask, Route
from wire.agent import metrics as messages
from wire.base import Lenient
from wire.link import HostReport


class ServiceQuery(Lenient, frozen=True):
    """Which service is asked about."""

    service_id: str


class MetricRows:
    """The rows for readings and requests."""

    def __init__(self, metrics: Metrics, requests: RecentRequests) -> None:
        self._metrics = metrics
        self._requests = requests

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="GET",
                path="/metrics",
                access="controld",
                handler=self._read_service,
                summary="Readings of a service's replicas",
                query=ServiceQuery,
                answer=messages.ServiceMetrics,
                faults=(EngineUnavailable,),
            ),
            Route(
                method="GET",
                path="/node",
                access="controld",
                handler=self._read_host,
                summary="Numbers of the node itself",
                answer=HostReport,
                faults=(HostUnreadable,),
            ),
            Route(
                method="GET",
                path="/requests",
                access="controld",
                handler=self._list_requests,
                summary="The newest requests of a service",
                query=ServiceQuery,
                answer=messages.RecentRequests,
            ),
        )

    async def _read_service(self, ask: Ask) -> messages.ServiceMetrics:
        return await self._metrics.read_service(ask.query.service_id)

    async def _read_host(self, ask: Ask) -> HostReport:
        del ask
        return await self._metrics.read_host()

    async def _list_requests(self, ask: Ask) -> messages.RecentRequests:
        entries = self._requests.list(f"svc-{ask.query.service_id}")
        return messages.RecentRequests(requests=tuple(map(_render, entries)))


def _render(entry: AccessEntry) -> messages.RequestEntry:
    return messages.RequestEntry(
        method=entry.method,
        path=entry.path,
        status=entry.status,
        bytes=entry.bytes,
        duration_ms=entry.duration_ms,
        recorded_at=entry.recorded_at,
        replica_id=entry.replica,
    )

"""Readings of replicas and of the node, and the newest requests, as controld asks for them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from agent.core.faults import EngineUnavailable
from agent.core.metrics import Metrics
from agent.core.requests import RecentRequests
from agent.core.usage import Usage
from agent.model.requests import AccessEntry
from kit.http.surface import Ask, Route
from wire.agent import metrics as messages
from wire.agent.history import HostHistory, ServiceHistory
from wire.base import Lenient


class MetricsQuery(Lenient, frozen=True):
    """Which service is asked about; absent: all of them."""

    service_id: str | None = None


class ServiceQuery(Lenient, frozen=True):
    """Which service is asked about."""

    service_id: str


class HostHistoryQuery(Lenient, frozen=True):
    """From when on, and how wide the points should be at least."""

    since: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    step_seconds: int = 10


class HistoryQuery(HostHistoryQuery, frozen=True, kw_only=True):
    """The same, of a service."""

    service_id: str


class MetricRows:
    """The rows for readings, their past and requests."""

    def __init__(self, metrics: Metrics, requests: RecentRequests, usage: Usage) -> None:
        self._metrics = metrics
        self._requests = requests
        self._usage = usage

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="GET",
                path="/metrics",
                access="controld",
                handler=self._read_service,
                summary="Readings of a service's replicas, or of all",
                query=MetricsQuery,
                answer=messages.ServiceMetrics,
                faults=(EngineUnavailable,),
            ),
            Route(
                method="GET",
                path="/metrics/history",
                access="controld",
                handler=self._list_history,
                summary="What a service's replicas used lately",
                query=HistoryQuery,
                answer=ServiceHistory,
            ),
            Route(
                method="GET",
                path="/node/history",
                access="controld",
                handler=self._list_host_history,
                summary="What the node used lately",
                query=HostHistoryQuery,
                answer=HostHistory,
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

    async def _list_history(self, ask: Ask) -> ServiceHistory:
        query: HistoryQuery = ask.query
        return self._usage.list_service(query.service_id, since=query.since, step_seconds=query.step_seconds)

    async def _list_host_history(self, ask: Ask) -> HostHistory:
        return self._usage.list_host(since=ask.query.since, step_seconds=ask.query.step_seconds)

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

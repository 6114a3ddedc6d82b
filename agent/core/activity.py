"""How long the services that the ingress leads to were asked for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from agent.model.ingress import RouteActivity
from wire.agent.activity import Activity, ServiceActivity
from wire.spec import NodeSpec

_PREFIX: Final = "svc-"


class ActivitySource(Protocol):
    """Where requests are counted."""

    async def read_activity(self) -> Mapping[str, RouteActivity]:
        """What is known of each route by its key; raises IngressUnavailable."""
        ...

    async def read_old_sessions(self) -> Mapping[str, int]:
        """Open sessions by server in processes that finish after a reload; raises IngressUnavailable."""
        ...


class Activities:
    """Puts the routes of each service together; `spec` says whose the replicas are."""

    def __init__(self, source: ActivitySource, *, spec: Callable[[], NodeSpec | None]) -> None:
        self._source = source
        self._spec = spec

    async def read(self) -> Activity:
        """Every service, by id; raises IngressUnavailable."""
        found: dict[str, RouteActivity] = {}
        for key, told in (await self._source.read_activity()).items():
            if key.startswith(_PREFIX):
                service_id = key.removeprefix(_PREFIX).partition(".")[0]
                found[service_id] = told.beside(found.get(service_id))
        spec = self._spec()
        homes = {} if spec is None else {replica.id: replica.service_id for replica in spec.replicas}
        for name, count in (await self._source.read_old_sessions()).items():
            service_id = homes.get(name, "")
            if service_id in found:
                found[service_id] = RouteActivity(open_requests=count, idle_seconds=0.0).beside(found[service_id])
        return Activity(
            services=tuple(
                ServiceActivity(service_id=service_id, open_requests=told.open_requests, idle_seconds=told.idle_seconds)
                for service_id, told in sorted(found.items())
            )
        )

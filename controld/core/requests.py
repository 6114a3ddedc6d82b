"""The newest requests of services, asked of the nodes whose ingress answered them."""

from __future__ import annotations

from typing import Final

from controld.core.faults import NodeOffline
from controld.core.places import Places, ask_all
from controld.core.ports import Agents
from controld.core.services import Services
from controld.model.caller import Caller
from controld.model.observed import RequestRecord
from controld.rules.readings import merge_requests
from wire.agent.metrics import RecentRequests

MOST: Final = 200

_ANSWER_SECONDS: Final = 5.0


class Requests:
    """Merges what the nodes of a service remember."""

    def __init__(self, *, services: Services, places: Places, agents: Agents) -> None:
        self._services = services
        self._places = places
        self._agents = agents

    async def list(self, caller: Caller, service_id: str) -> list[RequestRecord]:
        """The newest 200, newest first; raises ServiceNotFound, and NodeOffline when no node answers."""
        service = await self._services.admit(caller, service_id, operation="service.requests")
        nodes = await self._places.list_nodes(service_id)
        answers, silent = await ask_all(
            nodes, lambda node: self._agents.fetch_requests(node, service_id), limit_seconds=_ANSWER_SECONDS
        )
        if silent and not answers:
            raise NodeOffline(f"cannot list requests: {next(iter(silent.values()))}")
        return merge_requests([_records(service.name, answer) for answer in answers.values()], most=MOST)


def _records(service_name: str, answer: RecentRequests) -> list[RequestRecord]:
    return [
        RequestRecord(
            service_name=service_name,
            method=entry.method,
            path=entry.path,
            status=entry.status,
            bytes=entry.bytes,
            duration_ms=entry.duration_ms,
            recorded_at=entry.recorded_at,
            replica_id=entry.replica_id,
        )
        for entry in answer.requests
    ]

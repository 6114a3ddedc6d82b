"""A service that runs, with consoles in it, for tests of `/v1`."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from controld.model.audit import AuditQuery
from controld.model.page import Page
from controld.model.replica import PlacedReplica
from controld.model.report import NodeReport
from controld.model.role import Role
from tests.consoles import Place, Seat, ask_ticket
from tests.controld.app import App
from tests.controld.deploying import Ground, make_ground
from wire.link import ReplicaReport, ReplicaState


@dataclasses.dataclass
class World:
    """The service, an operator of its project, and a client."""

    app: App
    ground: Ground
    http: aiohttp.ClientSession
    place: Place

    def as_(self, token: str) -> Place:
        """The same place for somebody else."""
        return dataclasses.replace(self.place, token=token)

    async def audit(self, prefix: str = "console.") -> list[tuple[str, dict[str, Any]]]:
        """Actions on consoles and their details, oldest first."""
        async with self.app.database.read() as tx:
            found = await self.app.audit_store.list(tx, AuditQuery(), page=Page(limit=100))
        return [(each.action, dict(each.details)) for each in reversed(found) if each.action.startswith(prefix)]

    async def connect(self, place: Place | None = None, **more: Any) -> int:
        """The status of a refused connection with a fresh ticket; 101 when it is let in, and then it is closed."""
        _, issued = await ask_ticket(self.http, place or self.place)
        return await self.present(issued["ws_path"], **more)

    async def present(self, path: str, **more: Any) -> int:
        """The status of a connection at that path."""
        try:
            async with self.http.ws_connect(self.place.url + path, **more) as websocket:
                await Seat(websocket).until_ready()
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


@asynccontextmanager
async def open_world(app: App) -> AsyncIterator[World]:
    """The service with one replica that is healthy."""
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    report(ground, ReplicaState.HEALTHY, await ground.replicas())
    token = await app.token_of("ada", project_id=ground.service.project_id, role=Role.OPERATOR)
    async with app.serve() as http:
        yield World(app, ground, http, Place(str(http._base_url).rstrip("/"), token, ground.service.id))


def report(ground: Ground, state: ReplicaState, replicas: Sequence[PlacedReplica]) -> None:
    """Have the nodes say this of the replicas."""
    for node_id in ground.nodes:
        at = ground.app.clock.now()
        told = tuple(
            ReplicaReport(id=replica.id, state=state, since_at=at, container_id="c-1")
            for replica in replicas
            if replica.node_id == node_id
        )
        ground.app.reports.nodes[node_id] = NodeReport(node_id=node_id, heard_at=at, replicas=told)

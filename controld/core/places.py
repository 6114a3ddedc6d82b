"""Where a service runs: its replicas, and the nodes that have them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from controld.core.node_directory import NodeDirectory
from controld.core.ports import Database
from controld.core.ports_deployments import ReplicaStore
from controld.model.node import Node, NodeState
from controld.model.replica import PlacedReplica
from kit.faults import Fault

T = TypeVar("T")


class Places:
    """Looks up replicas and nodes, and asks all nodes of a service at once."""

    def __init__(self, *, database: Database, replicas: ReplicaStore, directory: NodeDirectory) -> None:
        self._database = database
        self._replicas = replicas
        self._directory = directory

    async def list_replicas(self, service_id: str) -> list[PlacedReplica]:
        """The service's replicas by index, draining ones included."""
        async with self._database.read() as tx:
            return await self._replicas.list_of_service(tx, service_id)

    async def list_nodes(self, service_id: str) -> list[Node]:
        """The nodes with replicas of the service, by id; removed ones left out."""
        return await self._find(sorted({replica.node_id for replica in await self.list_replicas(service_id)}))

    async def list_log_nodes(self, service_id: str) -> list[Node]:
        """The same, and those that had replicas lately: they keep the logs."""
        async with self._database.read() as tx:
            ids = await self._replicas.list_log_nodes(tx, service_id)
        return await self._find(ids)

    async def _find(self, node_ids: Sequence[str]) -> list[Node]:
        found = [await self._directory.find(node_id) for node_id in node_ids]
        return [node for node in found if node is not None and node.state is not NodeState.REMOVED]


async def ask_all(
    nodes: Sequence[Node], ask: Callable[[Node], Awaitable[T]], *, limit_seconds: float
) -> tuple[dict[str, T], dict[str, str]]:
    """What each node answers by its id, and why the others do not; all are asked side by side, within the limit."""
    answers: dict[str, T] = {}
    silent: dict[str, str] = {}

    async def ask_one(node: Node) -> None:
        try:
            async with asyncio.timeout(limit_seconds):
                answers[node.id] = await ask(node)
        except TimeoutError:
            silent[node.id] = f"node {node.name} did not answer within {limit_seconds:g} s"
        except Fault as fault:
            silent[node.id] = fault.message

    await asyncio.gather(*map(ask_one, nodes))
    return answers, silent

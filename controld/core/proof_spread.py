"""Waits until nodes answer what an authority is about to ask of them."""

from __future__ import annotations

from typing import Final

from controld.core.node_specs import NodeSpecs
from controld.core.ports_deployments import FleetFacts
from controld.model.node import NodeState
from kit.clock import Clock

_PAUSE_SECONDS: Final = 0.2
_LIVE: Final = frozenset({NodeState.READY, NodeState.DRAINING, NodeState.DRAINED})


class ProofSpread:
    """Knows from nodes' reports which have taken up a proof; nodes that are silent are not waited for."""

    def __init__(self, *, fleet: FleetFacts, specs: NodeSpecs, clock: Clock) -> None:
        self._fleet = fleet
        self._specs = specs
        self._clock = clock

    async def has_nodes(self) -> bool:
        """Whether any node is there to answer."""
        return any(node.state in _LIVE for node in await self._fleet.list_nodes())

    async def wait(self, hostname: str, path: str, *, limit_seconds: float) -> bool:
        """Wait until the live nodes that route the host, or else all live ones, answer the path; False: in vain."""
        deadline = self._clock.monotonic() + limit_seconds
        while not await self._is_everywhere(hostname, path):
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(_PAUSE_SECONDS)
        return True

    async def _is_everywhere(self, hostname: str, path: str) -> bool:
        live = [node for node in await self._fleet.list_nodes() if node.state in _LIVE]
        specs = {node.id: (await self._specs.current(node.id)).spec for node in live}
        routing = [
            node
            for node in live
            if hostname == specs[node.id].control_domain
            or any(hostname in route.hosts for route in specs[node.id].routes)
        ]
        return all(
            node.is_current and any(path == each.path for each in specs[node.id].challenges) for node in routing or live
        )

"""Removes images of ours that the node has had no use for, so that deployments do not fill its disk."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.core.ports import Engine
from agent.rules.containers import locate_image
from agent.rules.leftovers import find_unneeded
from kit.clock import Clock
from kit.faults import Fault
from wire.spec import NodeSpec

_log = logging.getLogger(__name__)


class Janitor:
    """Looks each `pace_seconds` and removes what it has seen unneeded for `idle_seconds`.

    What the spec names, what a container was made from, and the newest `kept` images of each repository stay. The
    hosted registry has what is removed: a rollback pulls it again. Without a spec nothing is removed.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        spec: Callable[[], NodeSpec | None],
        clock: Clock,
        node_id: str,
        registry_port: int,
        kept: int,
        idle_seconds: float,
        pace_seconds: float,
    ) -> None:
        self._engine = engine
        self._spec = spec
        self._clock = clock
        self._node_id = node_id
        self._registry_port = registry_port
        self._kept = kept
        self._idle_seconds = idle_seconds
        self._pace_seconds = pace_seconds
        self._since: dict[str, float] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._sweep()
            except Fault as fault:
                _log.warning("images not swept", extra={"fault": fault.message})
            await self._clock.sleep(self._pace_seconds)

    async def _sweep(self) -> None:
        spec = self._spec()
        if spec is None:
            return
        wanted = {locate_image(replica, registry_port=self._registry_port) for replica in spec.replicas}
        wanted |= {container.image_id for container in await self._engine.list_containers()}
        unneeded = find_unneeded(
            await self._engine.list_images(),
            node_id=self._node_id,
            registry=f"127.0.0.1:{self._registry_port}",
            wanted=wanted,
            kept=self._kept,
        )
        now = self._clock.monotonic()
        self._since = {name: self._since.get(name, now) for name in unneeded}
        due = [name for name, since in self._since.items() if now - since >= self._idle_seconds]
        for name in due:
            await self._engine.remove_image(name)
        if due:
            _log.info("unneeded images removed", extra={"images": due})

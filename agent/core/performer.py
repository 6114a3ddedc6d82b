"""Performs the actions of a plan on the container engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agent.core.ports import Engine
from agent.model.engine import Image
from agent.model.plan import (
    Action,
    CreateContainer,
    PullImage,
    RemoveContainer,
    ReplaceContainer,
    StartContainer,
    StopContainer,
)
from agent.rules.containers import render_container


class Performer:
    """Knows what every action needs beyond itself: the node, its network, and the login to the hosted registry.

    `keep_log` archives what the container of this id has written; it is called ahead of each removal and never raises.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        node_id: str,
        network: str,
        registry_login: tuple[str, str],
        pull_timeout_seconds: float,
        keep_log: Callable[[str], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._node_id = node_id
        self._network = network
        self._registry_login = registry_login
        self._pull_timeout_seconds = pull_timeout_seconds
        self._keep_log = keep_log

    async def perform(self, action: Action) -> Image | None:
        """Do it, and return the image that was pulled; raises the engine's fault."""
        match action:
            case PullImage(reference=reference, hosted=hosted):
                return await self._engine.pull_image(
                    reference,
                    login=self._registry_login if hosted else None,
                    timeout_seconds=self._pull_timeout_seconds,
                )
            case CreateContainer(replica=replica, reference=reference):
                await self._engine.ensure_network(self._network)
                spec = render_container(replica, node_id=self._node_id, network=self._network, image=reference)
                await self._engine.start_container(await self._engine.create_container(spec))
            case StartContainer(container_id=container_id):
                await self._engine.start_container(container_id)
            case StopContainer(container_id=container_id, grace_seconds=grace_seconds):
                await self._engine.stop_container(container_id, grace_seconds=grace_seconds)
            case ReplaceContainer(container_id=container_id, grace_seconds=grace_seconds):
                await self._engine.stop_container(container_id, grace_seconds=grace_seconds)
                await self._remove(container_id)
            case RemoveContainer(container_id=container_id):
                await self._remove(container_id)
        return None

    async def _remove(self, container_id: str) -> None:
        await self._keep_log(container_id)
        await self._engine.remove_container(container_id)

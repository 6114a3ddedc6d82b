"""The parts that hold requests for services that sleep, and have them woken."""

from __future__ import annotations

from contextlib import AsyncExitStack

from agent.api.waker import WakerServer
from agent.core.convergence import Convergence
from agent.core.waker import Waker
from agent.host.control import ControlCalls
from agent.model.identity import Identity
from agent.rules.rotation import name_waker
from agent.settings import Settings
from kit.clock import Clock
from wire.control.wakes import WakeAsked
from wire.spec import Route


class WakingParts:
    """A listener at `port`, which refuses what comes before `attach`."""

    def __init__(self, identity: Identity, control: ControlCalls, *, settings: Settings, clock: Clock) -> None:
        self._url = settings.control_url or identity.control_url
        self._control = control
        self._convergence: Convergence | None = None
        self.port = 0
        self.server = WakerServer(
            Waker(ask=self._ask, find=self._find, holds=self._holds, clock=clock), find=self._find_host
        )

    def attach(self, convergence: Convergence) -> None:
        """Follow what the node should run, and where its ingress leads."""
        self._convergence = convergence

    async def _ask(self, service_id: str) -> None:
        await self._control.send_wake(self._url, WakeAsked(service_id=service_id))

    def _list_routes(self) -> tuple[Route, ...]:
        spec = None if self._convergence is None else self._convergence.spec
        return () if spec is None else spec.routes

    def _find(self, service_id: str) -> Route | None:
        return next((route for route in self._list_routes() if route.service_id == service_id), None)

    def _find_host(self, host: str) -> Route | None:
        return next((route for route in self._list_routes() if host in route.hosts), None)

    def _holds(self, service_id: str) -> bool | None:
        return None if self._convergence is None else self._convergence.leads_to(name_waker(service_id))


async def open_waking(
    identity: Identity, control: ControlCalls, *, settings: Settings, clock: Clock, stack: AsyncExitStack
) -> WakingParts:
    """The parts, listening; the stack closes them."""
    parts = WakingParts(identity, control, settings=settings, clock=clock)
    parts.port = await parts.server.start()
    stack.push_async_callback(parts.server.close)
    return parts

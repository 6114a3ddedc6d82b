"""Wakes services that scaled to nothing, for requests that wait here until somebody answers them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from agent.core.faults import ControlUnreachable
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks
from wire.spec import Route

_log = logging.getLogger(__name__)

WAIT_SECONDS: Final = 30.0
"""So long a request waits."""
REST_SECONDS: Final = 30.0
"""A service that did not wake is not tried for so long."""
_LOOK_SECONDS: Final = 0.05
_AGAIN_SECONDS: Final = 1.0


class Waker:
    """One try at a time for each service, however many requests wait for it.

    `ask` has controld wake a service, `find` tells its route by the spec, and `holds` whether the ingress gives new
    requests for it to us; None: that is not known.
    """

    def __init__(
        self,
        *,
        ask: Callable[[str], Awaitable[None]],
        find: Callable[[str], Route | None],
        holds: Callable[[str], bool | None],
        clock: Clock,
    ) -> None:
        self._ask = ask
        self._find = find
        self._holds = holds
        self._clock = clock
        self._tasks = Tasks("waker")
        self._tries: dict[str, asyncio.Task[bool]] = {}
        self._not_before: dict[str, float] = {}

    def begin(self, service_id: str) -> asyncio.Task[bool] | None:
        """The try that is under way from now on; None while the service is left alone after one that failed."""
        running = self._tries.get(service_id)
        if running is not None:
            return running
        if self._clock.monotonic() < self._not_before.get(service_id, 0.0):
            return None
        self._not_before.pop(service_id, None)
        made = self._tasks.start(service_id, self._try(service_id))
        self._tries[service_id] = made
        return made

    async def hold(self, service_id: str) -> bool:
        """Wait until the ingress leads elsewhere for this service; False when it does not in time."""
        running = self.begin(service_id)
        if running is None:
            return False
        await asyncio.wait([running])
        return not running.cancelled() and running.result()

    async def close(self) -> None:
        """Let go of everything that waits."""
        await self._tasks.close()

    async def _try(self, service_id: str) -> bool:
        try:
            woken = await self._wake(service_id, until=self._clock.monotonic() + WAIT_SECONDS)
        except Fault as fault:
            _log.warning("service not woken", extra={"service": service_id, "reason": fault.message})
            woken = False
        finally:
            del self._tries[service_id]
        if not woken:
            self._not_before[service_id] = self._clock.monotonic() + REST_SECONDS
        return woken

    async def _wake(self, service_id: str, *, until: float) -> bool:
        asked = False
        while self._clock.monotonic() < until:
            route = self._find(service_id)
            if route is None:
                return False
            if not route.asleep and self._holds(service_id) is False:
                return True
            pause_seconds = _LOOK_SECONDS
            if route.asleep and not asked:
                try:
                    await self._ask(service_id)
                    asked = True
                except ControlUnreachable:
                    pause_seconds = _AGAIN_SECONDS
            await self._clock.sleep(pause_seconds)
        return False

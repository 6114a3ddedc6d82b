"""Notices that the caller of an open stream may not have it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kit.clock import Clock
from kit.faults import Fault, Kind
from kit.http.surface import Ask
from kit.tasks import Tasks

_REFUSED = frozenset({Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_FOUND})


async def watch_caller(
    ask: Ask, *, clock: Clock, admit: Callable[[Any], Awaitable[None]] | None, seconds: float = 15.0
) -> None:
    """Close the connection, as if the client had gone, once a CallerWatch finds that the caller is refused."""
    await CallerWatch(ask, clock=clock, admit=admit, seconds=seconds).refused()
    if (transport := ask.request.transport) is not None:
        transport.abort()


class CallerWatch:
    """Looks every so many seconds, and at once when the surface hears that callers changed, whether the caller of an
    ask is still recognised and still let in by `admit`.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        clock: Clock,
        admit: Callable[[Any], Awaitable[None]] | None = None,
        seconds: float = 15.0,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._admit = admit
        self._seconds = seconds
        self._changed = asyncio.Event()

    async def refused(self) -> None:
        """Return once the caller is refused; a look that fails for another reason is repeated at the next beat."""
        watch_callers = self._ask.surface.watch_callers
        tasks = Tasks("caller watch")
        try:
            tasks.start("beat", self._beat())
            if watch_callers is not None:
                tasks.start("changes", self._hear(watch_callers))
            while True:
                await self._changed.wait()
                self._changed.clear()
                if not await self._is_admitted():
                    return
        finally:
            await tasks.close()

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._seconds)
            self._changed.set()

    async def _hear(self, watch_callers: Callable[[], Any]) -> None:
        watch = watch_callers()
        try:
            while True:
                await watch.next()
                self._changed.set()
        finally:
            watch.close()

    async def _is_admitted(self) -> bool:
        try:
            caller = await self._ask.surface.authenticate(self._ask.request)
            if caller is not None and self._admit is not None:
                await self._admit(caller)
        except Fault as fault:
            return fault.kind not in _REFUSED
        return caller is not None

"""Carries the engine's events to whoever needs them, for as long as the agent runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final

from agent.core.ports import Engine
from agent.model.engine import EngineEvent
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 1.0


class Watcher:
    """Follows the events and hands each to every listener, in order.

    The engine's own watch reconnects, and one that ends all the same is opened again.
    """

    def __init__(self, engine: Engine, listeners: Sequence[Callable[[EngineEvent], None]], clock: Clock) -> None:
        self._engine = engine
        self._listeners = listeners
        self._clock = clock

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                async with aclosing(self._engine.watch_events()) as events:
                    async for event in events:
                        for listener in self._listeners:
                            listener(event)
            except Fault as fault:
                _log.warning("engine events not watched", extra={"fault": fault.message})
            except Exception:  # noqa: BLE001 - an odd event must not end the watch
                _log.exception("engine event not taken")
            await self._clock.sleep(_AGAIN_SECONDS)

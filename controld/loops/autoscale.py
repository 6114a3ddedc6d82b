"""The duty that lets services follow their load."""

from __future__ import annotations

import contextlib
import logging

from controld.core.autoscaling import Autoscaling
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)


class AutoscaleDuty:
    """Ticks at a steady pace until cancelled, and lets another controld go on then."""

    def __init__(self, *, autoscaling: Autoscaling, clock: Clock, tick_seconds: float) -> None:
        self._autoscaling = autoscaling
        self._clock = clock
        self._tick_seconds = tick_seconds

    async def run(self) -> None:
        """Keep the duty."""
        try:
            while True:
                try:
                    await self._autoscaling.tick()
                except Fault as fault:
                    _log.warning("services cannot be scaled", extra={"reason": fault.message})
                except Exception:  # noqa: BLE001 - it is logged, and the next tick may succeed
                    _log.exception("scaling services failed")
                await self._clock.sleep(self._tick_seconds)
        finally:
            with contextlib.suppress(Fault):
                await self._autoscaling.release()

"""The duty that keeps promoted deployments at the replicas they should have."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.ports import Feed
from controld.core.upkeep import Upkeep
from controld.loops.pulse import Pulse
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 5.0
_REST_SECONDS: Final = 1.0


class ReconcileDuty:
    """Runs when a node or a service changes and every 5 s, until cancelled."""

    def __init__(self, *, upkeep: Upkeep, feed: Feed, clock: Clock) -> None:
        self._upkeep = upkeep
        self._feed = feed
        self._clock = clock

    async def run(self) -> None:
        """Keep the duty."""
        async with Pulse(
            "node",
            "service",
            feed=self._feed,
            clock=self._clock,
            beat_seconds=_BEAT_SECONDS,
            rest_seconds=_REST_SECONDS,
        ) as pulse:
            while True:
                await pulse.wait()
                try:
                    await self._upkeep.reconcile()
                except Fault as fault:
                    _log.warning("replicas cannot be reconciled", extra={"reason": fault.message})
                except Exception:  # noqa: BLE001 - it is logged, and the next round may succeed
                    _log.exception("reconciling replicas failed")

"""The duty that keeps promoted deployments at the replicas they should have."""

from __future__ import annotations

from typing import Final

from controld.core.ports import Feed
from controld.core.upkeep import Upkeep
from controld.loops.pulse import Pulse, work_at_each_beat
from kit.clock import Clock

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
        pulse = Pulse(
            "node",
            "service",
            feed=self._feed,
            clock=self._clock,
            beat_seconds=_BEAT_SECONDS,
            rest_seconds=_REST_SECONDS,
        )
        await work_at_each_beat(
            pulse,
            self._upkeep.reconcile,
            on_fault="replicas cannot be reconciled",
            on_bug="reconciling replicas failed",
        )

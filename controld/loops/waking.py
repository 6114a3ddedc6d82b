"""The duty that tells nodes when a service that they woke takes requests."""

from __future__ import annotations

from typing import Final

from controld.core.ports import Feed
from controld.core.waking import Waking
from controld.loops.pulse import Pulse, work_at_each_beat
from kit.clock import Clock

_BEAT_SECONDS: Final = 5.0
_REST_SECONDS: Final = 0.2


class WakingDuty:
    """Runs when a node reports or a service changes, until cancelled."""

    def __init__(self, *, waking: Waking, feed: Feed, clock: Clock) -> None:
        self._waking = waking
        self._feed = feed
        self._clock = clock

    async def run(self) -> None:
        """Keep the duty."""
        pulse = Pulse(
            "report",
            "service",
            feed=self._feed,
            clock=self._clock,
            beat_seconds=_BEAT_SECONDS,
            rest_seconds=_REST_SECONDS,
        )
        await work_at_each_beat(
            pulse,
            self._waking.settle,
            on_fault="services that wake cannot be looked at",
            on_bug="looking at services that wake failed",
        )

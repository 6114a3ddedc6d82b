"""The duties of jobs: to see what is due each second, and to forget old runs."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.job_retention import JobRetention
from controld.core.job_schedule import JobSchedule
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 1.0
_HEAL_BEATS: Final = 60
_PRUNE_BEATS: Final = 300


class JobDuty:
    """Runs until cancelled."""

    def __init__(self, *, schedule: JobSchedule, retention: JobRetention, clock: Clock) -> None:
        self._schedule = schedule
        self._retention = retention
        self._clock = clock

    async def run(self) -> None:
        """Keep the duty."""
        beat = 0
        while True:
            try:
                if beat % _HEAL_BEATS == 0:
                    await self._schedule.heal()
                await self._schedule.enqueue_due()
                if beat % _PRUNE_BEATS == 0:
                    await self._retention.prune()
            except Fault as fault:
                _log.warning("jobs cannot be looked at", extra={"reason": fault.message})
            except Exception:  # noqa: BLE001 - it is logged, and the next round may succeed
                _log.exception("looking at jobs failed")
            beat += 1
            await self._clock.sleep(_BEAT_SECONDS)

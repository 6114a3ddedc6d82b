"""The duty behind the audit: refused attempts written every few seconds, old records forgotten every hour."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.audit_trail import AuditTrail
from controld.core.refusals import Refusals
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 5.0
_BEATS_PER_SWEEP: Final = 720


class AuditDuty:
    """Runs until cancelled; a beat that fails is made good by the next."""

    def __init__(self, *, refusals: Refusals, trail: AuditTrail, clock: Clock) -> None:
        self._refusals = refusals
        self._trail = trail
        self._clock = clock

    async def run(self) -> None:
        """Keep the duty."""
        beat = 0
        while True:
            try:
                await self._refusals.write()
                if beat % _BEATS_PER_SWEEP == 0 and (count := await self._trail.drop_old()):
                    _log.info("old audit records dropped", extra={"count": count})
            except Fault as fault:
                _log.warning("the audit cannot be kept", extra={"reason": fault.message})
            beat += 1
            await self._clock.sleep(_BEAT_SECONDS)

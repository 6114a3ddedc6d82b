"""The duty that drops what has had its time: uploads that were never deployed."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.uploads import Uploads
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 60.0


class RetentionDuty:
    """Sweeps at its start and each minute, until cancelled."""

    def __init__(self, *, uploads: Uploads, clock: Clock) -> None:
        self._uploads = uploads
        self._clock = clock

    async def run(self) -> None:
        """Keep the duty."""
        while True:
            try:
                if dropped := await self._uploads.sweep():
                    _log.info("uploads dropped", extra={"count": dropped})
            except Fault as fault:
                _log.warning("uploads cannot be swept", extra={"reason": fault.message})
            except Exception:  # noqa: BLE001 - it is logged, and the next round may succeed
                _log.exception("sweeping uploads failed")
            await self._clock.sleep(_BEAT_SECONDS)

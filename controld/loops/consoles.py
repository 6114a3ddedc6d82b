"""The duty that learns how consoles ended that nobody was connected to."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.console_ledger import ConsoleLedger
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 30.0


class ConsoleDuty:
    """Sweeps at its start and each half minute, until cancelled."""

    def __init__(self, *, ledger: ConsoleLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def run(self) -> None:
        """Keep the duty."""
        while True:
            try:
                await self._ledger.sweep()
            except Fault as fault:
                _log.warning("consoles cannot be swept", extra={"reason": fault.message})
            except Exception:  # noqa: BLE001 - it is logged, and the next round may succeed
                _log.exception("sweeping consoles failed")
            await self._clock.sleep(_BEAT_SECONDS)

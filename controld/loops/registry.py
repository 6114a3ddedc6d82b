"""The beat of the image registry's upkeep."""

from __future__ import annotations

import datetime as dt
import logging

from controld.core.registry_upkeep import RegistryUpkeep
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)


class RegistryLoop:
    """Ends expired uploads every `sweep_seconds`, and collects garbage when the last time is `collect_seconds` ago."""

    def __init__(self, upkeep: RegistryUpkeep, *, clock: Clock, sweep_seconds: float, collect_seconds: float) -> None:
        self._upkeep = upkeep
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self._collect_every = dt.timedelta(seconds=collect_seconds)

    async def pass_once(self) -> None:
        """What one beat does."""
        await self._upkeep.expire_uploads()
        last = await self._upkeep.last_collected_at()
        if last is None or self._clock.now() - last >= self._collect_every:
            await self._upkeep.collect()

    async def run(self) -> None:
        """Go on until cancelled; the first beat comes after a sweep's time, and the next makes good a failed one."""
        while True:
            await self._clock.sleep(self._sweep_seconds)
            try:
                await self.pass_once()
            except (Fault, OSError) as error:
                _log.warning("registry upkeep failed", extra={"reason": str(error)})

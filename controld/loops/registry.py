"""The beat of the image registry's upkeep."""

from __future__ import annotations

import datetime as dt
import logging

from controld.core.registry_upkeep import RegistryUpkeep
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

_log = logging.getLogger(__name__)


class RegistryLoop:
    """Ends expired uploads every `sweep_seconds`, and collects garbage when the last time is `collect_seconds` ago."""

    def __init__(self, upkeep: RegistryUpkeep, *, clock: Clock, sweep_seconds: float, collect_seconds: float) -> None:
        self._upkeep = upkeep
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self._collect_every = dt.timedelta(seconds=collect_seconds)
        self._tasks = Tasks("registry upkeep")

    def start(self) -> None:
        """Begin; the first pass is one sweep's time away, so that a start costs nothing."""
        self._tasks.start("sweep", self._run())

    async def close(self) -> None:
        """Stop; a collection under way is left where it is, and the next one goes on."""
        await self._tasks.close()

    async def pass_once(self) -> None:
        """What one beat does."""
        await self._upkeep.expire_uploads()
        last = await self._upkeep.last_collected_at()
        if last is None or self._clock.now() - last >= self._collect_every:
            await self._upkeep.collect()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._sweep_seconds)
            try:
                await self.pass_once()
            except (Fault, OSError):
                _log.exception("registry upkeep failed")

"""Lets archived logs go that are too old."""

from __future__ import annotations

from typing import Final

from agent.core.log_archive import LogArchive
from kit.clock import Clock

SWEEP_SECONDS: Final = 3600.0


class LogSweeper:
    """Sweeps the archive once an hour; whatever is archived sweeps it too, so that sizes are never passed."""

    def __init__(self, archive: LogArchive, *, clock: Clock) -> None:
        self._archive = archive
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._archive.sweep()
            await self._clock.sleep(SWEEP_SECONDS)

"""Removes images of ours that the node has had no use for, so that deployments do not fill its disk."""

from __future__ import annotations

import logging

from agent.core.images import Images
from kit.clock import Clock
from kit.faults import Fault

_log = logging.getLogger(__name__)


class Janitor:
    """Looks each `pace_seconds` and removes what nothing has needed for `idle_seconds`.

    The newest `kept` images of each repository stay. The hosted registry, or the one that it came from, has what is
    removed: a rollback pulls it again.
    """

    def __init__(self, images: Images, *, clock: Clock, kept: int, idle_seconds: float, pace_seconds: float) -> None:
        self._images = images
        self._clock = clock
        self._kept = kept
        self._idle_seconds = idle_seconds
        self._pace_seconds = pace_seconds

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._images.sweep(kept=(), newest=self._kept, idle_seconds=self._idle_seconds)
            except Fault as fault:
                _log.warning("images not swept", extra={"fault": fault.message})
            await self._clock.sleep(self._pace_seconds)

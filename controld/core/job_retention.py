"""Forgets runs of jobs that have been kept long enough."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from controld.core.ports import Database
from controld.core.ports_jobs import JobRunStore
from kit.clock import Clock

_log = logging.getLogger(__name__)

_BATCH: Final = 100


class JobRetention:
    """Keeps of each job the newest runs, by number and by age; the newest of all is never forgotten."""

    def __init__(
        self, *, database: Database, runs: JobRunStore, clock: Clock, keep_runs: int, keep_seconds: float
    ) -> None:
        self._database = database
        self._runs = runs
        self._clock = clock
        self._keep_runs = keep_runs
        self._keep = dt.timedelta(seconds=keep_seconds)

    async def prune(self) -> None:
        """Forget what is past its time, with its log, a few at a time."""
        while True:
            async with self._database.read() as tx:
                spent = await self._runs.list_spent(
                    tx, now=self._clock.now(), keep_runs=self._keep_runs, keep=self._keep, limit=_BATCH
                )
            if not spent:
                return
            async with self._database.write() as tx:
                await self._runs.delete(tx, spent)
            _log.info("runs of jobs forgotten", extra={"count": len(spent)})

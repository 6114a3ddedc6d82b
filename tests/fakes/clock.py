"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
import itertools


class FakeClock:
    """A clock whose sleepers wake only when `advance` passes their moment, in order."""

    def __init__(self, start: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._jump = dt.timedelta()
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> dt.datetime:
        """Wall time: the start, plus what was advanced, plus what was jumped."""
        return self._start + dt.timedelta(seconds=self._elapsed) + self._jump

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._elapsed

    def jump(self, seconds: float) -> None:
        """Set wall time forward or back without waking anybody, as an operator or NTP does."""
        self._jump += dt.timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed that many seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its moment and letting it run."""
        target = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            moment, _, waiter = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, moment)
            if not waiter.done():
                waiter.set_result(None)
            await _settle()
        self._elapsed = target
        await _settle()


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)

"""Wakes a duty when something it looks at changes, and at a steady beat besides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Self

from controld.core.ports import Feed
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

_log = logging.getLogger(__name__)


class Pulse:
    """Beats for changes of some kinds and each `beat_seconds`; used as `async with`."""

    def __init__(self, *kinds: str, feed: Feed, clock: Clock, beat_seconds: float, rest_seconds: float = 0.05) -> None:
        self._kinds = kinds
        self._feed = feed
        self._clock = clock
        self._beat_seconds = beat_seconds
        self._rest_seconds = rest_seconds
        self._tasks = Tasks("pulse")
        self._due = asyncio.Event()
        self._due.set()

    async def __aenter__(self) -> Self:
        self._tasks.start("changes", self._listen())
        self._tasks.start("beat", self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()

    def beat(self) -> None:
        """Beat now."""
        self._due.set()

    async def wait(self) -> None:
        """Wait for a beat; the first comes at once, and between two there is a short rest."""
        await self._due.wait()
        await self._clock.sleep(self._rest_seconds)
        self._due.clear()

    async def _listen(self) -> None:
        watch = self._feed.watch(*self._kinds)
        try:
            while True:
                await watch.next()
                self._due.set()
        finally:
            watch.close()

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self._beat_seconds)
            self._due.set()


async def work_at_each_beat(pulse: Pulse, work: Callable[[], Awaitable[None]], *, on_fault: str, on_bug: str) -> None:
    """Do the work at each beat until cancelled; what fails is logged in these words, and the next beat may succeed."""
    async with pulse:
        while True:
            await pulse.wait()
            try:
                await work()
            except Fault as fault:
                _log.warning(on_fault, extra={"reason": fault.message})
            except Exception:  # noqa: BLE001 - it is logged, and the next round may succeed
                _log.exception(on_bug)

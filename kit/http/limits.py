"""A limit on how often something may happen in a sliding window of time."""

from __future__ import annotations

import math
from collections import deque

from kit.clock import Clock

_SWEEP_EVERY = 1024


class Window:
    """Allows `limit` asks of one key in any `seconds`; a rejected ask does not count.

    Idle keys are swept away every 1,024 checks, and at most `max_keys` are kept: past that the one that was first seen
    longest ago is forgotten.
    """

    def __init__(self, limit: int, seconds: float, *, clock: Clock, max_keys: int = 10_000) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._max_keys = max_keys
        self._moments: dict[str, deque[float]] = {}
        self._checks = 0

    def __len__(self) -> int:
        return len(self._moments)

    def check(self, key: str) -> int | None:
        """None when the ask is allowed, and then it counts; else after how many whole seconds the next one would be."""
        now = self._clock.monotonic()
        self._checks += 1
        if self._checks % _SWEEP_EVERY == 0:
            self._sweep(now)
        moments = self._moments.get(key)
        if moments is None:
            if len(self._moments) >= self._max_keys:
                del self._moments[next(iter(self._moments))]
            moments = self._moments[key] = deque()
        while moments and moments[0] <= now - self._seconds:
            moments.popleft()
        if len(moments) >= self._limit:
            return max(1, math.ceil(moments[0] + self._seconds - now))
        moments.append(now)
        return None

    def _sweep(self, now: float) -> None:
        start = now - self._seconds
        for key in [key for key, moments in self._moments.items() if not moments or moments[-1] <= start]:
            del self._moments[key]

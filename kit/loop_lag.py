"""How late the event loop comes to what is due: what anything that blocks it costs everybody else."""

from __future__ import annotations

from collections import deque
from typing import Final

from kit.clock import Clock

_BEAT_SECONDS: Final = 1.0
_REMEMBERED: Final = 60


class LoopLag:
    """Measures once a second while `run` does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def newest_seconds(self) -> float | None:
        """The newest; None before the first."""
        return self._newest[-1] if self._newest else None

    @property
    def worst_seconds(self) -> float | None:
        """The worst of the last minute; None before the first."""
        return max(self._newest, default=None)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            asleep_at = self._clock.monotonic()
            await self._clock.sleep(_BEAT_SECONDS)
            self._newest.append(max(0.0, self._clock.monotonic() - asleep_at - _BEAT_SECONDS))

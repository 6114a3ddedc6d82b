"""What keeps the loop from its work for a while is told, and forgotten after a minute."""

from __future__ import annotations

from kit.loop_lag import LoopLag
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock


class _Late(FakeClock):
    """A clock whose sleeps last longer than they should."""

    def __init__(self) -> None:
        super().__init__()
        self.late_seconds = 0.0

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.late_seconds)


async def test_the_worst_of_the_last_minute_is_remembered() -> None:
    clock, tasks = _Late(), Tasks("test")
    lag = LoopLag(clock)
    assert (lag.newest_seconds, lag.worst_seconds) == (None, None)

    clock.late_seconds = 0.25
    tasks.start("lag", lag.run())
    await clock.advance(1.25)
    clock.late_seconds = 0.0
    assert (lag.newest_seconds, lag.worst_seconds) == (0.25, 0.25)
    await clock.advance(10)
    assert (lag.newest_seconds, lag.worst_seconds) != (0.25, 0.0)
    assert lag.worst_seconds == 0.25
    await clock.advance(70)
    assert (lag.newest_seconds, lag.worst_seconds) == (0.0, 0.0)
    await tasks.close()

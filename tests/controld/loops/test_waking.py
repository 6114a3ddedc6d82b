"""The duty of waking looks when a node reports, and outlives what fails."""

from __future__ import annotations

import logging

import pytest

from controld.core.faults import StoreUnavailable
from controld.core.waking import Waking
from controld.loops.waking import WakingDuty
from controld.model.change import Change
from controld.store.feed import Feed
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock


class Settling(Waking):
    """Counts looks; the errors are raised by the first of them."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.looks = 0

    async def settle(self) -> None:
        self.looks += 1
        if self.errors:
            raise self.errors.pop(0)


async def test_it_looks_at_each_report_and_goes_on_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    waking, clock, tasks = Settling(StoreUnavailable("gone"), RuntimeError("a bug")), FakeClock(), Tasks("test")
    feed = Feed("test")
    with caplog.at_level(logging.CRITICAL):
        tasks.start("waking", WakingDuty(waking=waking, feed=feed, clock=clock).run())
        await clock.advance(1)
        assert waking.looks == 1
        for looks in (2, 3):
            feed.publish([Change("report", "n1")])
            await clock.advance(1)
            assert waking.looks == looks
        await clock.advance(5)
        assert waking.looks == 4
    await tasks.close()

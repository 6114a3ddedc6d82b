"""The duty of scaling ticks at its pace, outlives what fails, and lets another controld go on."""

from __future__ import annotations

import logging

import pytest

from controld.core.autoscaling import Autoscaling
from controld.core.faults import StoreUnavailable
from controld.loops.autoscale import AutoscaleDuty
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock


class Scaling(Autoscaling):
    """Counts ticks; the errors are raised by the first of them."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.ticks = 0
        self.released = 0

    async def tick(self) -> None:
        self.ticks += 1
        if self.errors:
            raise self.errors.pop(0)

    async def release(self) -> None:
        self.released += 1
        raise StoreUnavailable("cannot reach the database")


async def test_it_ticks_at_its_pace_whatever_fails_and_gives_its_place_away_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scaling, clock, tasks = Scaling(StoreUnavailable("gone"), RuntimeError("a bug")), FakeClock(), Tasks("test")
    with caplog.at_level(logging.CRITICAL):
        tasks.start("autoscale", AutoscaleDuty(autoscaling=scaling, clock=clock, tick_seconds=15).run())
        await clock.advance(14)
        assert scaling.ticks == 1
        await clock.advance(31)
    assert scaling.ticks == 4
    assert scaling.released == 0
    await tasks.close()
    assert scaling.released == 1

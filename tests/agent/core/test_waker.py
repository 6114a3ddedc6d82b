"""A service is woken once, whoever waits for it, and left alone for a while when it does not wake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.core.faults import ControlRefused, ControlUnreachable
from agent.core.waker import Waker
from tests.fakes.clock import FakeClock
from wire.spec import Route

ASLEEP = Route(key="svc-s", service_id="s", service="web", hosts=("a.test",), replicas=(), asleep=True)
AWAKE = Route(key="svc-s", service_id="s", service="web", hosts=("a.test",), replicas=("r",))


class Bench:
    """A waker whose node and controld are the test's."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.route: Route | None = ASLEEP
        self.holds: bool | None = True
        self.asked = 0
        self.faults: list[Exception] = []
        self.waker = Waker(ask=self._ask, find=lambda _: self.route, holds=lambda _: self.holds, clock=self.clock)

    async def _ask(self, _: str) -> None:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)

    def hold(self) -> asyncio.Task[bool]:
        """A request that waits."""
        return asyncio.ensure_future(self.waker.hold("s"))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.waker.close()


async def test_all_who_wait_go_on_once_the_ingress_leads_elsewhere(bench: Bench) -> None:
    waiting = [bench.hold() for _ in range(3)]
    await bench.clock.advance(5)
    assert bench.asked == 1
    bench.route = AWAKE
    await bench.clock.advance(1)
    assert not any(each.done() for each in waiting), "the ingress leads here still"
    bench.holds = None
    await bench.clock.advance(1)
    assert not any(each.done() for each in waiting), "it is not known where the ingress leads"
    bench.holds = False
    await bench.clock.advance(1)
    assert await asyncio.gather(*waiting) == [True] * 3


async def test_a_service_that_does_not_wake_is_left_alone_for_a_while(bench: Bench) -> None:
    first = bench.hold()
    await bench.clock.advance(31)
    assert not await first
    for _ in range(3):
        again = bench.hold()
        await bench.clock.advance(5)
        assert again.done()
        assert not again.result()
    assert bench.asked == 1
    await bench.clock.advance(20)
    later = bench.hold()
    await bench.clock.advance(1)
    bench.route, bench.holds = AWAKE, False
    await bench.clock.advance(1)
    assert await later
    assert bench.asked == 2


async def test_a_controld_that_is_away_is_asked_again_and_one_that_refuses_is_not(bench: Bench) -> None:
    bench.faults = [ControlUnreachable("away"), ControlUnreachable("away")]
    waiting = bench.hold()
    await bench.clock.advance(3)
    assert bench.asked == 3
    bench.route, bench.holds = AWAKE, False
    await bench.clock.advance(1)
    assert await waiting
    bench.route, bench.faults = ASLEEP, [ControlRefused("no")]
    refused = bench.hold()
    await bench.clock.advance(1)
    assert not await refused


async def test_a_service_that_is_gone_is_waited_for_no_longer(bench: Bench) -> None:
    waiting = bench.hold()
    await bench.clock.advance(1)
    bench.route = None
    await bench.clock.advance(1)
    assert not await waiting


async def test_what_waits_at_the_end_is_let_go(bench: Bench) -> None:
    waiting = bench.hold()
    await bench.clock.advance(1)
    await bench.waker.close()
    assert not await waiting

"""The agent's end of the link."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator

import pytest

from agent.core.faults import ControlRefused, ControlUnreachable
from agent.core.link import Link
from agent.model.identity import LinkPhase
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock
from tests.fakes.control import FakeLinkConnection, FakeLinkDialer, FakeObservations, FakeSpecSink
from wire.link import Happening, Heartbeat, HeartbeatAnswered, LinkRefused, ReplicaReport, ReplicaState, SpecPushed
from wire.spec import NodeSpec

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
REPLICA = ReplicaReport(id="r-1", state=ReplicaState.HEALTHY, since_at=AT)


class Bench:
    """A link under test, with everything around it in the test's hands."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.dialer = FakeLinkDialer()
        self.observations = FakeObservations()
        self.sink = FakeSpecSink()
        self.link = Link(
            self.dialer,
            self.observations,
            self.sink,
            clock=self.clock,
            jitter=lambda: 0.99,
            agent_version="1",
            retry_least_seconds=1,
            retry_most_seconds=8,
        )

    @property
    def connection(self) -> FakeLinkConnection:
        return self.dialer.dialled[-1]

    async def hear(self) -> Heartbeat:
        """The next heartbeat that was sent."""
        await self.clock.advance(0.1)
        return self.connection.sent.get_nowait()

    async def answer(self, heartbeat: Heartbeat, *, spec: NodeSpec | None = None) -> None:
        self.connection.say(HeartbeatAnswered(seq=heartbeat.seq, digest="sha256:a", beat_seconds=5, spec=spec))
        await self.clock.advance(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench, tasks = Bench(), Tasks("test")
    tasks.start("link", bench.link.run())
    await asyncio.sleep(0)
    yield bench
    await tasks.close()


async def test_a_heartbeat_goes_out_at_once_then_at_each_beat_and_whenever_something_changes(bench: Bench) -> None:
    first = await bench.hear()
    await bench.answer(first)
    assert bench.connection.sent.empty()

    await bench.clock.advance(5.3)
    second = bench.connection.sent.get_nowait()
    await bench.answer(second)
    bench.link.notice()
    third = await bench.hear()

    assert [first.seq, second.seq, third.seq] == [1, 2, 3]
    assert bench.link.standing.phase is LinkPhase.UP


async def test_what_was_said_is_left_out_until_it_changes_or_the_link_is_new(bench: Bench) -> None:
    await bench.answer(first := await bench.hear())
    bench.observations.observed = dataclasses.replace(bench.observations.observed, replicas=(REPLICA,))
    bench.link.notice()
    await bench.answer(second := await bench.hear())
    bench.link.notice()
    await bench.answer(third := await bench.hear())

    assert (first.replicas, second.replicas, third.replicas) == ((), (REPLICA,), None)
    assert (first.engine is None, third.engine is None) == (False, True)

    bench.connection.break_off()
    await bench.clock.advance(1)
    assert (await bench.hear()).replicas == (REPLICA,)


async def test_a_spec_in_an_answer_or_pushed_goes_to_the_sink(bench: Bench) -> None:
    spec = NodeSpec(node_id="n-1")
    await bench.answer(await bench.hear(), spec=spec)
    bench.connection.say(SpecPushed(digest="sha256:b", spec=spec))
    await bench.clock.advance(0)

    assert bench.sink.accepted == [(spec, "sha256:a"), (spec, "sha256:b")]


async def test_a_link_that_falls_silent_is_given_up_within_two_beats(bench: Bench) -> None:
    await bench.answer(await bench.hear())
    silent = bench.connection

    await bench.clock.advance(10)

    assert silent.closed
    assert bench.link.standing.phase is not LinkPhase.UP
    assert "has not answered" in (bench.link.standing.fault or "")


async def test_dials_back_off_up_to_a_limit_and_start_anew_after_a_link_that_worked(bench: Bench) -> None:
    await bench.answer(await bench.hear())
    bench.dialer.fault = ControlUnreachable("cannot reach controld: refused")
    bench.connection.break_off()
    await bench.clock.advance(0)
    before = bench.dialer.attempts

    await bench.clock.advance(1 + 2 + 4 + 8)
    assert bench.dialer.attempts == before + 4
    await bench.clock.advance(16)
    assert bench.dialer.attempts == before + 6

    bench.dialer.fault = None
    await bench.clock.advance(8)
    await bench.answer(await bench.hear())
    assert bench.link.standing.phase is LinkPhase.UP
    links = len(bench.dialer.dialled)
    bench.connection.break_off()
    await bench.clock.advance(1)
    assert len(bench.dialer.dialled) == links + 1


async def test_a_refusal_slows_the_dials_down_and_is_told(bench: Bench) -> None:
    await bench.hear()
    bench.connection.say(LinkRefused(code="removed", message="this node was removed"))
    await bench.clock.advance(5)

    assert len(bench.dialer.dialled) == 1
    assert "this node was removed" in (bench.link.standing.fault or "")

    bench.dialer.fault = ControlRefused("cannot dial")
    await bench.clock.advance(5)
    assert bench.dialer.attempts == 2


async def test_what_happened_is_told_until_it_is_confirmed(bench: Bench) -> None:
    await bench.answer(await bench.hear())
    happening = Happening(at=AT, kind="oom", message="killed")
    bench.link.tell(happening)
    assert (await bench.hear()).happenings == (happening,)
    bench.connection.break_off()
    await bench.clock.advance(1)

    again = await bench.hear()
    assert again.happenings == (happening,)
    await bench.answer(again)
    bench.link.notice()
    assert (await bench.hear()).happenings == ()


async def test_a_clock_that_jumps_ends_no_link(bench: Bench) -> None:
    await bench.answer(await bench.hear())
    for seconds in (86400.0, -2 * 86400.0):
        bench.clock.jump(seconds)
        await bench.clock.advance(5.3)
        await bench.answer(bench.connection.sent.get_nowait())

    assert len(bench.dialer.dialled) == 1
    assert bench.link.standing.phase is LinkPhase.UP


async def test_a_failure_of_our_own_in_one_link_leaves_room_for_the_next(bench: Bench) -> None:
    await bench.answer(await bench.hear())
    good = bench.observations.observed
    bench.observations.observed = None  # type: ignore[assignment]
    bench.link.notice()
    await bench.clock.advance(0.1)
    bench.observations.observed = good

    await bench.clock.advance(1)

    await bench.answer(await bench.hear())
    assert bench.link.standing.phase is LinkPhase.UP

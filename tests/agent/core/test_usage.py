"""Each sweep reads every replica that runs, without asking the engine unless a container came or went."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Collection, Sequence

from agent.core.usage import Usage
from agent.model.engine import Container
from agent.model.metrics import Reading, Target
from agent.model.usage import FIELDS
from tests.agent.core.test_metrics import replica, run
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from wire.link import HostReport
from wire.spec import NodeSpec


class Containers:
    """Containers that each use half a core and as many bytes as their first process has for a number."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    async def read(self, targets: Sequence[Target]) -> list[Reading]:
        now = self.clock.now()
        usec = int(self.clock.monotonic() * 500_000)
        return [
            Reading(
                container_id=target.container_id,
                recorded_at=now,
                cpu_usage_usec=usec,
                memory_current_bytes=target.pid,
            )
            for target in targets
        ]

    async def keep(self, container_ids: Collection[str]) -> None: ...

    async def drop(self, container_ids: Collection[str]) -> None: ...


class CountingEngine(FakeEngine):
    """An engine that counts how often it is asked for its containers."""

    asked = 0

    async def list_containers(self) -> tuple[Container, ...]:
        self.asked += 1
        return await super().list_containers()


def host(clock: FakeClock, *, user: int) -> HostReport:
    return HostReport(
        cpu_user_jiffies=user,
        cpu_nice_jiffies=0,
        cpu_system_jiffies=0,
        cpu_idle_jiffies=0,
        cpu_iowait_jiffies=0,
        cpu_count=2,
        memory_total_bytes=100,
        memory_available_bytes=40,
        load_1m=0.5,
        load_5m=0.0,
        load_15m=0.0,
        disk_total_bytes=10,
        disk_available_bytes=10,
        recorded_at=clock.now(),
    )


async def test_what_a_replica_uses_is_remembered_and_the_engine_is_asked_only_when_containers_change() -> None:
    clock = FakeClock()
    engine = CountingEngine("n-1", clock=clock)
    usage = Usage(
        engine,
        Containers(clock),
        spec=lambda: NodeSpec(node_id="n-1", replicas=(replica("r-1"), replica("o-1", service="x"))),
        clock=clock,
    )
    container = await run(engine, "r-1")
    since = clock.now()
    for user in range(4):
        await usage.sweep(host(clock, user=user * 500))
        await clock.advance(5)
    asked = engine.asked
    await engine.exit_container(container, 0)
    for event in engine._events:
        usage.note_event(event)
    await usage.sweep(None)
    told = usage.list_service("s-1", since=since - dt.timedelta(seconds=10), step_seconds=10)
    (history,) = told.replicas
    points = [dict(zip(told.fields, values, strict=True)) for _, values in history.points]

    assert (asked, engine.asked) == (1, 2)
    assert told.fields == FIELDS
    assert (told.step_seconds, history.replica_id, history.deployment_id) == (10, "r-1", "d-1")
    assert {round(point["cpu_millis"] or 0) for point in points} == {500}
    assert all(point["memory_bytes"] for point in points)
    assert points[0]["pids"] is None
    assert usage.newest == ()
    assert usage.list_service("x", since=since, step_seconds=10).replicas == ()
    machine = usage.list_host(since=since - dt.timedelta(seconds=10), step_seconds=10)
    busy = [dict(zip(machine.fields, values, strict=True)) for _, values in machine.points]
    assert {round(point["cpu_millis"] or 0) for point in busy} == {1000}
    assert {round(point["memory_used_bytes"] or 0) for point in busy} == {60}


class StuckEngine(CountingEngine):
    """An engine that never answers once it is stuck."""

    stuck = False

    async def list_containers(self) -> tuple[Container, ...]:
        if self.stuck:
            await asyncio.Event().wait()
        return await super().list_containers()


async def test_an_engine_that_is_stuck_holds_no_sweep_up() -> None:
    clock = FakeClock()
    engine = StuckEngine("n-1", clock=clock)
    spec = NodeSpec(node_id="n-1", replicas=(replica("r-1"),))
    usage = Usage(engine, Containers(clock), spec=lambda: spec, clock=clock, roster_seconds=0.01)
    await run(engine, "r-1")
    await usage.sweep(None)
    for event in engine._events:
        usage.note_event(event)
    engine.stuck = True
    await clock.advance(5)
    async with asyncio.timeout(5):
        await usage.sweep(None)

    assert [each.reading.recorded_at for each in usage.newest] == [clock.now()]


async def test_an_engine_that_does_not_answer_leaves_the_sweep_to_go_on() -> None:
    clock = FakeClock()
    engine = FakeEngine("n-1", clock=clock)
    usage = Usage(
        engine, Containers(clock), spec=lambda: NodeSpec(node_id="n-1", replicas=(replica("r-1"),)), clock=clock
    )
    await run(engine, "r-1")
    await usage.sweep(None)
    for event in engine._events:
        usage.note_event(event)
    engine.down = True
    await clock.advance(5)
    await usage.sweep(host(clock, user=0))

    assert [each.replica.id for each in usage.newest] == ["r-1"]
    assert usage.list_host(since=clock.now() - dt.timedelta(minutes=1), step_seconds=10).points

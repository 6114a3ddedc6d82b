"""The machine is sampled at its pace, and a reading that fails ends nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from agent.core.faults import HostUnreadable
from agent.core.metrics import Metrics
from agent.core.requests import RecentRequests
from agent.core.usage import Usage
from agent.loops.sampler import Sampler
from agent.model.metrics import Reading, Target
from agent.model.requests import AccessEntry
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from wire.link import HostReport
from wire.spec import NodeSpec, Route


class Host:
    """A machine whose load is the number of the reading; the second cannot be read."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self) -> HostReport:
        self.reads += 1
        if self.reads == 2:
            raise HostUnreadable("cannot read the numbers of this machine: gone")
        return HostReport(
            cpu_user_jiffies=1,
            cpu_nice_jiffies=0,
            cpu_system_jiffies=1,
            cpu_idle_jiffies=1,
            cpu_iowait_jiffies=0,
            cpu_count=1,
            memory_total_bytes=2,
            memory_available_bytes=1,
            load_1m=float(self.reads),
            load_5m=0.0,
            load_15m=0.0,
            disk_total_bytes=1,
            disk_available_bytes=1,
            recorded_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )


class Nothing:
    """No containers to read."""

    async def read(self, targets: Sequence[Target]) -> list[Reading]:
        return []

    async def keep(self, container_ids: Collection[str]) -> None: ...

    async def drop(self, container_ids: Collection[str]) -> None: ...


def entry(route: str) -> AccessEntry:
    return AccessEntry(
        route=route,
        host="h",
        replica=None,
        method="GET",
        path="/",
        status=200,
        bytes=1,
        duration_ms=1,
        recorded_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        termination="--",
    )


async def test_each_beat_reads_the_machine_again_and_forgets_routes_that_are_gone() -> None:
    clock, host, requests, tasks = FakeClock(), Host(), RecentRequests(), Tasks("test")
    route = Route(key="svc-1", service_id="1", service="web", hosts=(), replicas=())
    requests.add(entry("svc-1"))
    requests.add(entry("svc-2"))

    def spec() -> NodeSpec:
        return NodeSpec(node_id="n-1", routes=(route,))

    metrics = Metrics(FakeEngine("n-1", clock=clock), Nothing(), host, spec=spec)
    usage = Usage(FakeEngine("n-1", clock=clock), Nothing(), spec=spec, clock=clock)
    sampler = Sampler(metrics, requests, usage=usage, spec=spec, clock=clock, sample_seconds=5.0)
    tasks.start("sampler", sampler.run())
    await clock.advance(4.9)
    first = metrics.host
    await clock.advance(5.1)
    third = metrics.host
    await tasks.close()

    assert first is not None
    assert third is not None
    assert (first.load_1m, third.load_1m, host.reads) == (1.0, 3.0, 3)
    assert (len(requests.list("svc-1")), requests.list("svc-2")) == (1, ())

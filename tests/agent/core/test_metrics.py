"""Readings of a service are those of its replicas that run, with limits and counts beside them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.core.metrics import Metrics
from agent.model.engine import ContainerSpec
from agent.model.metrics import Reading, ReadingSource, Target
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from wire.link import HostReport
from wire.spec import Health, Limits, NodeSpec, Origin, Replica


class Readings:
    """Readings whose numbers are made of the pid."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.kept: Collection[str] = ()
        self.dropped: set[str] = set()

    async def read(self, targets: Sequence[Target]) -> list[Reading]:
        return [
            Reading(
                container_id=target.container_id,
                recorded_at=self.clock.now(),
                cpu_usage_usec=target.pid,
                cpu_source=ReadingSource.CGROUP2,
            )
            for target in targets
        ]

    async def keep(self, container_ids: Collection[str]) -> None:
        self.kept = container_ids

    async def drop(self, container_ids: Collection[str]) -> None:
        self.dropped |= set(container_ids)


class Host:
    """A machine without numbers to look at."""

    async def read(self) -> HostReport:
        raise AssertionError("nobody asks")


def replica(id_: str, *, service: str = "s-1") -> Replica:
    return Replica(
        id=id_,
        service_id=service,
        deployment_id="d-1",
        project="p",
        service="web",
        index=int(id_[-1]),
        image="i",
        origin=Origin.LOCAL,
        port=80,
        health=Health(path="/", timeout_seconds=1),
        limits=Limits(cpu_millis=250, memory_bytes=1000),
    )


async def run(engine: FakeEngine, replica_id: str) -> str:
    engine.add_image("i")
    id_ = await engine.create_container(
        ContainerSpec(
            name=replica_id,
            image="i",
            labels=(("moorage.replica", replica_id),),
            env=(),
            command=None,
            cpu_millis=1,
            memory_bytes=1,
            pids=1,
            network="n",
            stop_seconds=1,
        )
    )
    await engine.start_container(id_)
    return id_


async def test_a_service_reads_as_its_running_replicas_in_the_order_of_the_spec() -> None:
    clock = FakeClock()
    engine, readings = FakeEngine("n-1", clock=clock), Readings(clock)
    spec = NodeSpec(
        node_id="n-1", replicas=(replica("r-2"), replica("r-1"), replica("r-3"), replica("o-1", service="x"))
    )
    ids = [await run(engine, name) for name in ("r-1", "r-2", "o-1", "unknown-1")]
    await engine.exit_container(await run(engine, "r-3"), 1)
    metrics = Metrics(engine, readings, Host(), spec=lambda: spec)
    found = (await metrics.read_service("s-1")).replicas

    assert [(each.replica_id, each.index, each.deployment_id) for each in found] == [
        ("r-2", 2, "d-1"),
        ("r-1", 1, "d-1"),
    ]
    assert [(each.cpu_source, each.memory_source, each.memory_current_bytes) for each in found] == [
        ("cgroup2", None, None)
    ] * 2
    assert {(each.cpu_limit_millis, each.memory_limit_bytes, each.restarts) for each in found} == {(250, 1000, 0)}
    assert [each.oom_kills for each in found] == [None, None]
    assert set(readings.kept) == set(ids)
    everything = (await metrics.read_service(None)).replicas
    assert [each.replica_id for each in everything] == ["r-2", "r-1", "o-1"]


async def test_oom_kills_outlive_the_container_that_they_ended() -> None:
    clock = FakeClock()
    engine = FakeEngine("n-1", clock=clock)
    readings = Readings(clock)
    metrics = Metrics(engine, readings, Host(), spec=lambda: NodeSpec(node_id="n-1", replicas=(replica("r-1"),)))
    container = await run(engine, "r-1")
    for _ in range(2):
        await engine.exit_container(container, 137, oom_killed=True)
        await engine.restart_container(container)
    for event in engine._events:
        metrics.note_event(event)
    (found,) = (await metrics.read_service("s-1")).replicas

    assert (found.oom_kills, found.restarts) == (2, 2)


async def test_a_node_without_a_spec_has_no_readings() -> None:
    clock = FakeClock()
    metrics = Metrics(FakeEngine("n-1", clock=clock), Readings(clock), Host(), spec=lambda: None)

    assert (await metrics.read_service("s-1")).replicas == ()
    assert (await metrics.read_service(None)).replicas == ()

"""Attempts of jobs' runs on a node: started once, ended in time, told for as long as the spec names them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import msgspec

from agent.core.job_runs import JobRuns
from agent.loops.watcher import Watcher
from agent.model import labels
from agent.model.engine import Container, ContainerState
from kit.tasks import Tasks
from tests.agent.rules.world import NODE
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from tests.fakes.job_run_notes import FakeNotes
from wire.link import EndedBy, JobRunReport, JobRunState
from wire.spec import JobRun, Limits, NodeSpec, Origin

IMAGE = "registry.example/tool@sha256:" + "a" * 64


def make_run(id_: str = "run-1", **changes: object) -> JobRun:
    run = JobRun(
        id=id_,
        attempt=1,
        job_id="job-1",
        project="shop",
        job="nightly",
        image=IMAGE,
        origin=Origin.EXTERNAL,
        limits=Limits(cpu_millis=500, memory_bytes=64 * 1024 * 1024),
        timeout_seconds=60.0,
        env=(("A", "1"), ("A", "2")),
        command=("/bin/true",),
    )
    return msgspec.structs.replace(run, **changes)


class Node:
    """An agent's runs between a fake engine and fake notes."""

    def __init__(self, before: Node | None = None) -> None:
        self.clock: FakeClock = before.clock if before else FakeClock()
        self.engine: FakeEngine = before.engine if before else FakeEngine(NODE, clock=self.clock)
        self.notes: FakeNotes = before.notes if before else FakeNotes()
        self.spec: NodeSpec | None = before.spec if before else None
        self.notices = 0
        self.tasks = Tasks("node")
        self.runs = JobRuns(
            self.engine,
            self.notes,
            spec=lambda: self.spec,
            clock=self.clock,
            node_id=NODE,
            network="moorage-test",
            registry_port=7191,
            registry_login=("agent", "secret"),
        )
        self.runs.attach(notice=self._notice)

    def _notice(self) -> None:
        self.notices += 1

    async def follow(self, *runs: JobRun, seconds: float = 1.0) -> None:
        """Let the spec name these runs and let time pass."""
        self.spec = NodeSpec(node_id=NODE, job_runs=runs)
        self.runs.wake()
        await self.clock.advance(seconds)

    def report(self, key: str = "run-1.1") -> JobRunReport:
        """The present report of an attempt."""
        return next(report for report in self.runs.reports() if report.key == key)

    async def containers(self) -> list[Container]:
        """All containers of runs."""
        return [each for each in await self.engine.list_containers() if each.label(labels.JOB_RUN)]

    async def container(self) -> Container:
        """The only container."""
        (found,) = await self.containers()
        return found


@contextlib.asynccontextmanager
async def running(before: Node | None = None) -> AsyncIterator[Node]:
    """A node whose agent runs within the block; `before` gives it another one's machine."""
    node = Node(before)
    if before is None:
        node.engine.registry[IMAGE] = node.engine.add_image(IMAGE)
        del node.engine.images[IMAGE]
    node.tasks.start("runs", node.runs.run())
    node.tasks.start("watcher", Watcher(node.engine, [node.runs.note_event], node.clock).run())
    try:
        yield node
    finally:
        await node.tasks.close()


async def test_a_run_is_pulled_made_started_and_told_to_its_end() -> None:
    async with running() as node:
        await node.follow(make_run())
        assert node.report().state is JobRunState.RUNNING
        container = await node.container()
        spec = node.engine.specs[container.id]
        assert (spec.restarts, spec.command, spec.env) == (False, ("/bin/true",), (("A", "2"),))
        assert (spec.memory_bytes, spec.cpu_millis) == (64 * 1024 * 1024, 500)
        assert dict(container.labels)[labels.JOB] == "job-1"
        await node.engine.exit_container(container.id, 3)
        await node.clock.advance(1)
        report = node.report()
        assert (report.state, report.exit_code, report.ended_by) == (JobRunState.ENDED, 3, None)
        assert report.reason == "it exited with code 3"
        assert (await node.container()).state is ContainerState.EXITED, "its log is still to be read"
        assert node.notices >= 2
        await node.follow()
        assert await node.containers() == []
        assert node.notes.held == {}
        assert node.runs.reports() == ()


async def test_a_run_that_passes_its_memory_limit_is_told_so() -> None:
    async with running() as node:
        await node.follow(make_run())
        await node.engine.exit_container((await node.container()).id, 137, oom_killed=True)
        await node.clock.advance(1)
        assert node.report().oom_killed
        assert "passed its memory limit of 67108864 bytes" in (node.report().reason or "")


async def test_a_run_is_ended_when_its_time_is_over_and_not_before() -> None:
    async with running() as node:
        await node.follow(make_run(timeout_seconds=60.0))
        await node.clock.advance(55)
        assert node.report().state is JobRunState.RUNNING
        await node.clock.advance(10)
        assert node.report().state is JobRunState.ENDED
        assert node.report().ended_by is EndedBy.TIMEOUT
        assert "longer than its timeout of 60 seconds" in (node.report().reason or "")


async def test_a_clock_that_jumps_ends_no_run_early() -> None:
    async with running() as node:
        await node.follow(make_run(timeout_seconds=60.0))
        node.clock.jump(3600)
        await node.clock.advance(30)
        assert node.report().state is JobRunState.RUNNING
        node.clock.jump(-7200)
        await node.clock.advance(35)
        assert node.report().ended_by is EndedBy.TIMEOUT


async def test_the_time_of_a_run_goes_on_while_the_agent_is_away() -> None:
    async with running() as node:
        await node.follow(make_run(timeout_seconds=60.0))
    await node.clock.advance(50)
    async with running(node) as again:
        await again.clock.advance(5)
        assert again.report().state is JobRunState.RUNNING
        await again.clock.advance(10)
        assert again.report().ended_by is EndedBy.TIMEOUT


async def test_a_container_that_does_not_stop_is_removed_by_force() -> None:
    async with running() as node:

        async def refuse(container_id: str, *, grace_seconds: int) -> None:
            del container_id, grace_seconds
            node.engine.down = True
            node.engine._check()

        node.engine.stop_container = refuse  # type: ignore[method-assign]
        await node.follow(make_run(timeout_seconds=60.0))
        for _ in range(90):
            await node.clock.advance(1)
            node.engine.down = False
        assert await node.containers() == []
        assert node.report().ended_by is EndedBy.TIMEOUT


async def test_a_cancelled_run_is_ended_and_one_not_yet_started_never_starts() -> None:
    async with running() as node:
        await node.follow(make_run())
        await node.follow(make_run(cancelled=True), make_run("run-2", cancelled=True))
        assert [each.ended_by for each in node.runs.reports()] == [EndedBy.CANCEL, EndedBy.CANCEL]
        assert node.report("run-2.1").started_at is None
        assert len(await node.containers()) == 1


async def test_an_agent_that_dies_while_a_run_is_active_finds_it_again() -> None:
    async with running() as node:
        await node.follow(make_run())
        container = await node.container()
    async with running(node) as again:
        await again.clock.advance(1)
        assert again.report().state is JobRunState.RUNNING
        await again.engine.exit_container(container.id, 0)
        await again.clock.advance(1)
        assert (again.report().state, again.report().exit_code) == (JobRunState.ENDED, 0)
        assert (await again.container()).id == container.id


async def test_an_agent_that_dies_between_making_and_starting_starts_what_it_made() -> None:
    async with running() as node:
        node.engine.start_seconds = 1000
        await node.follow(make_run())
        container = await node.container()
        assert container.state is ContainerState.CREATED
        assert node.notes.held["run-1.1"].begun
    node.engine.start_seconds = 0
    async with running(node) as again:
        await again.clock.advance(1)
        assert (await again.container()).id == container.id
        assert again.report().state is JobRunState.RUNNING


async def test_a_run_whose_container_somebody_removed_is_lost_and_not_started_again() -> None:
    async with running() as node:
        await node.follow(make_run())
        await node.engine.remove_container((await node.container()).id)
        await node.clock.advance(1)
        assert node.report().state is JobRunState.FAILED
        assert "its container is gone" in (node.report().reason or "")
        await node.clock.advance(600)
        assert await node.containers() == []


async def test_a_run_that_controld_has_seen_running_is_not_started_by_a_node_that_forgot_it() -> None:
    async with running() as node:
        await node.follow(make_run(begun=True), seconds=60)
        assert node.report().state is JobRunState.FAILED
        assert await node.containers() == []


async def test_nothing_is_started_that_could_not_be_written_down() -> None:
    async with running() as node:
        node.notes.full = True
        await node.follow(make_run(), seconds=5)
        assert (await node.container()).state is ContainerState.CREATED
        assert "the disk is full" in (node.report().reason or "")
        node.notes.full = False
        await node.clock.advance(60)
        assert node.report().state is JobRunState.RUNNING


async def test_a_start_that_the_engine_refuses_fails_the_run_with_its_reason() -> None:
    async with running() as node:
        node.engine.start_errors[IMAGE] = 'exec: "/bin/true": no such file'
        await node.follow(make_run(), seconds=30)
        assert node.report().state is JobRunState.FAILED
        assert "no such file" in (node.report().reason or "")


async def test_an_image_that_cannot_be_had_fails_the_run() -> None:
    async with running() as node:
        node.engine.registry.clear()
        await node.follow(make_run(), seconds=30)
        assert node.report().state is JobRunState.FAILED
        assert "manifest unknown" in (node.report().reason or "")


async def test_an_engine_that_is_away_delays_a_run_and_does_not_fail_it() -> None:
    async with running() as node:
        await node.engine.set_down(True)
        await node.follow(make_run(), seconds=120)
        assert node.report().state is JobRunState.PENDING
        await node.engine.set_down(False)
        await node.clock.advance(10)
        assert node.report().state is JobRunState.RUNNING


async def test_a_run_that_the_spec_drops_is_ended_and_leaves_nothing() -> None:
    async with running() as node:
        await node.follow(make_run())
        await node.follow()
        assert await node.containers() == []
        assert node.notes.held == {}


async def test_how_a_run_ended_is_remembered_even_when_its_container_is_removed_afterwards() -> None:
    async with running() as node:
        await node.follow(make_run())
        container = await node.container()
        await node.engine.exit_container(container.id, 7)
        await node.clock.advance(1)
        await node.engine.remove_container(container.id)
    async with running(node) as again:
        await again.clock.advance(1)
        assert again.report().exit_code == 7


async def test_replicas_are_no_business_of_the_runs() -> None:
    async with running() as node:
        foreign = node.engine.add_foreign("somebody-elses")
        await node.follow(make_run(), seconds=5)
        await node.follow(seconds=5)
        assert node.engine.exists(foreign)

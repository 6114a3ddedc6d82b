"""Jobs' runs on a real Docker Engine: exit codes, limits, time and logs are the engine's own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import msgspec
import pytest

from agent.core.job_runs import JobRuns
from agent.core.logs import Logs
from agent.host.docker.engine import DockerEngine
from agent.host.job_run_notes import DiskNotes
from agent.loops.watcher import Watcher
from agent.model import labels
from agent.model.engine import Container
from agent.rules.containers import name_network
from kit.clock import SystemClock
from kit.tasks import Tasks
from tests.waiting import eventually
from wire.agent.logs import LogLine, LogQuery
from wire.link import EndedBy, JobRunReport, JobRunState
from wire.spec import JobRun, Limits, NodeSpec, Origin


class Agent:
    """The part of an agent that carries out runs, on the real engine."""

    def __init__(self, engine: DockerEngine, *, node_id: str, image: str, folder: Path) -> None:
        self.engine, self.node_id, self.image = engine, node_id, image
        self.spec: NodeSpec | None = None
        self.tasks = Tasks("agent")
        clock = SystemClock()
        self.logs = Logs(engine, tasks=self.tasks, clock=clock)
        self.runs = JobRuns(
            engine,
            DiskNotes(folder),
            spec=lambda: self.spec,
            clock=clock,
            node_id=node_id,
            network=name_network(node_id),
            registry_port=7191,
            registry_login=("agent", "secret"),
        )
        self.tasks.start("runs", self.runs.run())
        self.tasks.start("watcher", Watcher(engine, [self.runs.note_event], clock).run())

    def make(self, script: str, **changes: object) -> JobRun:
        """A run of a shell script."""
        run = JobRun(
            id="018f3a5c-7b1e-7c3a-9d2f-0123456789ab",
            attempt=1,
            job_id="job-1",
            project="shop",
            job="nightly",
            image=self.image,
            origin=Origin.LOCAL,
            limits=Limits(cpu_millis=500, memory_bytes=32 * 1024 * 1024),
            timeout_seconds=60.0,
            command=("/bin/sh", "-c", script),
            stop_seconds=1,
        )
        return msgspec.structs.replace(run, **changes)

    async def carry_out(self, run: JobRun) -> JobRunReport:
        """How the run ended."""
        self.follow(run)
        return await self.await_state(JobRunState.ENDED, JobRunState.FAILED)

    def follow(self, *runs: JobRun) -> None:
        """Let the spec name these."""
        self.spec = NodeSpec(node_id=self.node_id, job_runs=runs)
        self.runs.wake()

    async def await_state(self, *states: JobRunState) -> JobRunReport:
        """The only report once its state is one of these."""

        async def look() -> JobRunReport:
            (report,) = self.runs.reports()
            return report

        return await eventually(look, met=lambda report: report.state in states, seconds=30)

    async def containers(self) -> list[Container]:
        """The containers of runs."""
        return [each for each in await self.engine.list_containers() if each.label(labels.JOB_RUN)]


@pytest.fixture
async def agent(
    real_engine: DockerEngine, engine_node_id: str, busybox_image: str, tmp_path: Path
) -> AsyncIterator[Agent]:
    made = Agent(real_engine, node_id=engine_node_id, image=busybox_image, folder=tmp_path / "runs")
    yield made
    await made.tasks.close()


async def test_a_run_tells_its_exit_code_and_its_log_until_the_spec_drops_it(agent: Agent) -> None:
    run = agent.make("echo one; echo two >&2; exit 4", env=(("GREETING", "hello"),))
    report = await agent.carry_out(run)
    assert (report.state, report.exit_code, report.oom_killed) == (JobRunState.ENDED, 4, False)
    assert report.started_at is not None
    assert report.finished_at is not None
    lines = [
        record
        async for batch in agent.logs.read(LogQuery(job_run=run.key, tail=1000))
        for record in batch.records
        if isinstance(record, LogLine)
    ]
    assert {(line.stream, line.text) for line in lines} == {("stdout", "one"), ("stderr", "two")}
    agent.follow()
    assert await eventually(agent.containers, met=lambda found: not found) == []


async def test_a_run_that_ignores_the_end_of_its_time_is_killed_with_all_it_started(
    agent: Agent, docker_engine: docker.DockerClient
) -> None:
    report = await agent.carry_out(agent.make("trap '' TERM; sleep 500 & sleep 500 & wait; wait", timeout_seconds=1.0))
    assert report.ended_by is EndedBy.TIMEOUT
    assert report.exit_code == 137
    (container,) = await agent.containers()
    assert docker_engine.api.inspect_container(container.id)["State"]["Pid"] == 0


async def test_a_run_that_somebody_paused_is_ended_in_time_too(
    agent: Agent, docker_engine: docker.DockerClient
) -> None:
    agent.follow(agent.make("sleep 500", timeout_seconds=2.0))
    await agent.await_state(JobRunState.RUNNING)
    (container,) = await agent.containers()
    docker_engine.api.pause(container.id)
    assert (await agent.await_state(JobRunState.ENDED)).ended_by is EndedBy.TIMEOUT


async def test_a_run_that_passes_its_memory_limit_says_so(agent: Agent) -> None:
    report = await agent.carry_out(
        agent.make("tail -c 200000000 /dev/zero", limits=Limits(cpu_millis=1000, memory_bytes=16 * 1024 * 1024))
    )
    assert report.oom_killed
    assert "memory limit of 16777216 bytes" in (report.reason or "")


async def test_a_command_that_is_not_in_the_image_ends_the_run_as_a_shell_would_say_it(agent: Agent) -> None:
    report = await agent.carry_out(agent.make("", command=("/not/there",)))
    assert (report.state, report.exit_code) == (JobRunState.ENDED, 127), report.reason


async def test_the_next_agent_takes_the_run_over_and_starts_nothing_twice(
    agent: Agent, busybox_image: str, tmp_path: Path
) -> None:
    run = agent.make("echo begun; sleep 3; exit 5")
    agent.follow(run)
    await agent.await_state(JobRunState.RUNNING)
    (container,) = await agent.containers()
    with contextlib.suppress(RuntimeError):
        await agent.tasks.close()
    again = Agent(agent.engine, node_id=agent.node_id, image=busybox_image, folder=tmp_path / "runs")
    try:
        report = await again.carry_out(run)
        assert report.exit_code == 5
        assert [each.id for each in await again.containers()] == [container.id]
    finally:
        await again.tasks.close()

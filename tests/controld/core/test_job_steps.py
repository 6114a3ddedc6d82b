"""Runs are placed, handed to nodes, followed to their end and tried again; killed at any moment they go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from controld.core.faults import NodeInUse
from controld.model.caller import SETUP_CALLER
from controld.model.job import JobRun, RunStatus
from controld.model.node import NodeState
from controld.model.service import GitSource, ResourceLimits
from tests.controld.app import App
from tests.controld.jobs import CANCELLED, NODES, PULLED, Ground, make_ground
from tests.fakes.agents import FakeLog
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkFailed, WorkLine
from wire.link import JobRunState
from wire.spec import Limits, Origin


@pytest.fixture
async def ground(app: App) -> AsyncIterator[Ground]:
    made = await make_ground(app)
    made.start()
    yield made
    await made.tasks.close()


def log_of(ground: Ground, node_id: str = NODES[0]) -> FakeLog:
    return ground.app.agents.logs.setdefault(node_id, FakeLog())


async def test_a_run_is_pulled_handed_over_and_told_to_its_end(ground: Ground) -> None:
    job = await ground.add(
        command=("/bin/backup",),
        env=(("K", "own"),),
        timeout_seconds=90,
        resource_limits=ResourceLimits(cpu_millis=100, memory_bytes=64 * 1024**2),
    )
    run = await ground.run(job)
    await ground.until_on_node(run)
    ((node_id, _, asked),) = ground.app.agents.asked
    assert node_id == NODES[0]
    assert isinstance(asked, PullAsked)
    assert asked.image == "docker.io/library/busybox:1"
    (told,) = await ground.on_node()
    assert (told.command, told.timeout_seconds) == (("/bin/backup",), 90.0)
    assert told.limits == Limits(cpu_millis=100, memory_bytes=64 * 1024**2)
    assert dict(told.env)["K"] == "own", "the job's own value goes before the project's"
    log_of(ground).write("one", at=ground.app.clock.now())
    begun = await ground.begin(run)
    assert (begun.status, begun.started_at is not None) == (RunStatus.RUNNING, True)
    assert (await ground.on_node())[0].begun
    log_of(ground).write("two", at=ground.app.clock.now())
    await ground.end(run, 0)
    log_of(ground).write("the last word", at=ground.app.clock.now())
    done = await ground.until_status(run, RunStatus.SUCCEEDED)
    assert (done.attempt, done.exit_code, done.reason, done.node_id) == (1, 0, None, NODES[0])
    assert done.config is None, "its env is not kept longer than it is used"
    assert await ground.on_node() == ()
    assert await ground.log(run) == [
        "START attempt 1 on node node-1",
        f"STARTING {told.image.partition('@')[2]}",
        "STDOUT one",
        "STDOUT two",
        "STDOUT the last word",
        "END attempt 1 succeeded",
    ]


async def test_a_failed_attempt_is_tried_again_in_the_same_run(ground: Ground) -> None:
    job = await ground.add(max_retries=1)
    run = await ground.run(job)
    first = await ground.begin(run)
    await ground.end(run, 3)
    second = await ground.until_on_node(run, attempt=2)
    assert (second.id, second.attempt, second.exit_code) == (run.id, 2, 3)
    assert second.reason is None
    await ground.begin(run, attempt=2)
    await ground.end(run, 4, oom_killed=True, reason="it was killed because it passed its memory limit")
    done = await ground.until_status(run, RunStatus.FAILED)
    assert (done.attempt, done.exit_code, done.oom_killed) == (2, 4, True)
    assert done.started_at != first.started_at
    assert done.reason == "it was killed because it passed its memory limit"
    log = await ground.log(run)
    assert "END attempt 1 failed: it exited with code 3; another follows" in log
    assert len({work_id for _, work_id, _ in ground.app.agents.asked}) == 2, "each attempt asks for its image anew"


async def test_an_image_that_cannot_be_had_fails_the_run_with_the_registrys_reason(ground: Ground) -> None:
    ground.app.agents.events = [WorkFailed(code="image_not_found", message="manifest unknown")]
    run = await ground.run(await ground.add())
    done = await ground.until_status(run, RunStatus.FAILED)
    assert (done.reason, done.exit_code, done.started_at) == ("manifest unknown", None, None)


async def test_a_job_from_a_repository_is_built_where_it_runs(app: App, ground: Ground) -> None:
    source = GitSource(
        repo_url="https://github.com/acme/tool",
        git_ref="main",
        dockerfile_path="tool/Dockerfile",
        context_path="tool",
        credential="default",
    )
    built = WorkDone(image="sha256:aa", origin=Origin.LOCAL, digest="sha256:aa", commit="c" * 40)
    app.agents.events = [WorkLine(text="Step 1/1 : FROM scratch"), built]
    job = await ground.add(source=source)
    run = await ground.run(job)
    await ground.until_on_node(run)
    ((node_id, _, asked),) = app.agents.asked
    assert isinstance(asked, BuildAsked)
    assert asked.clone is not None
    assert (asked.clone.repo_url, asked.clone.ref, asked.push) == (source.repo_url, "main", False)
    assert (asked.dockerfile_path, asked.context_path) == ("tool/Dockerfile", "tool")
    (told,) = await ground.on_node(node_id)
    assert (told.image, told.origin) == ("sha256:aa", Origin.LOCAL)
    assert "BUILDING Step 1/1 : FROM scratch" in await ground.log(run)


async def test_a_node_that_is_off_is_asked_again_until_the_image_is_late(ground: Ground) -> None:
    ground.app.agents.offline.add(NODES[0])
    run = await ground.run(await ground.add())
    waiting = await ground.until(run, lambda seen: seen.reason is not None)
    assert waiting.status is RunStatus.PENDING
    await ground.app.clock.advance(600)
    done = await ground.until_status(run, RunStatus.FAILED)
    assert done.reason == "its image could not be had within 600 seconds"


async def test_runs_of_many_jobs_wait_for_a_place_on_the_node(ground: Ground) -> None:
    runs = [await ground.run(await ground.add(name=f"job {number}")) for number in range(6)]
    for run in runs[:4]:
        await ground.until_on_node(run)
    assert [(await ground.see(run)).node_id for run in runs[4:]] == [None, None]
    await ground.end(runs[1], 0)
    await ground.until_on_node(runs[4])
    assert (await ground.see(runs[5])).node_id is None


async def test_runs_spread_over_nodes(app: App) -> None:
    ground = await make_ground(app, nodes=3)
    ground.start()
    runs = [await ground.run(await ground.add(name=f"job {number}")) for number in range(3)]
    places = {(await ground.until_on_node(run)).node_id for run in runs}
    assert places == set(NODES)
    await ground.tasks.close()


async def test_without_a_node_a_run_is_skipped_and_says_why(app: App, ground: Ground) -> None:
    app.fleet.put(NODES[0], NodeState.LOST)
    run = await ground.run(await ground.add())
    waiting = await ground.until(run, lambda seen: seen.deadline_at is not None)
    assert (waiting.reason or "").startswith("waiting for a node: node node-1 is lost, last heard at")
    await app.clock.advance(300)
    done = await ground.until_status(run, RunStatus.SKIPPED)
    assert (done.reason or "").startswith("no node could take it: node node-1 is lost")


async def test_a_run_on_a_lost_node_is_tried_on_another(app: App) -> None:
    ground = await make_ground(app, nodes=2)
    ground.start()
    run = await ground.run(await ground.add(max_retries=1))
    begun = await ground.begin(run)
    assert begun.node_id is not None
    app.fleet.put(begun.node_id, NodeState.LOST)
    again = await ground.until_on_node(run, attempt=2)
    assert again.node_id in set(NODES[:2]) - {begun.node_id}
    assert await ground.on_node(begun.node_id) == (), "when it comes back it ends what it still runs"
    assert f"attempt 1 failed: its node was lost: node node-{begun.node_id[-1]} is lost" in "\n".join(
        await ground.log(run)
    )
    await ground.tasks.close()


async def test_a_run_on_a_draining_node_finishes_there(app: App, ground: Ground) -> None:
    run = await ground.run(await ground.add())
    await ground.begin(run)
    app.fleet.put(NODES[0], NodeState.DRAINING)
    other = await ground.run(await ground.add(name="other"))
    with pytest.raises(NodeInUse, match="0 replicas and 1 runs of jobs"):
        await app.nodes.remove(SETUP_CALLER, NODES[0], force=False)
    await app.nodes.drain(SETUP_CALLER, NODES[0])
    await app.deploying.upkeep.reconcile()
    assert (await app.nodes.get(SETUP_CALLER, NODES[0])).state is NodeState.DRAINING
    await ground.end(run, 0)
    assert (await ground.until_status(run, RunStatus.SUCCEEDED)).node_id == NODES[0]
    await app.deploying.upkeep.reconcile()
    assert (await app.nodes.get(SETUP_CALLER, NODES[0])).state is NodeState.DRAINED
    assert (await ground.see(other)).node_id is None, "a node that drains takes no new run"


async def test_a_run_is_cancelled_wherever_it_stands(app: App, ground: Ground) -> None:
    app.agents.events = [None]
    pulling = await ground.run(await ground.add(name="pulling"))
    await ground.until(pulling, lambda seen: seen.node_id is not None)
    await ground.parts.runs.cancel(SETUP_CALLER, pulling.job_id, pulling.id)
    done = await ground.until_status(pulling, RunStatus.FAILED)
    assert done.reason == "cancelled by the holder of the setup secret"
    assert app.agents.cancelled, "the pull was ended on the node"

    app.agents.events = [PULLED]
    running = await ground.run(await ground.add(name="running", max_retries=3))
    await ground.begin(running)
    await ground.parts.runs.cancel(SETUP_CALLER, running.job_id, running.id)
    (told,) = await ground.on_node()
    assert told.cancelled
    await ground.end(running, 137, **CANCELLED)
    done = await ground.until_status(running, RunStatus.FAILED)
    assert (done.attempt, done.reason) == (1, "cancelled by the holder of the setup secret")


async def test_a_run_that_nobody_places_is_cancelled_too(app: App, ground: Ground) -> None:
    app.fleet.put(NODES[0], NodeState.SUSPECT)
    run = await ground.run(await ground.add())
    await ground.parts.runs.cancel(SETUP_CALLER, run.job_id, run.id)
    await ground.until_status(run, RunStatus.FAILED)


async def test_long_output_is_kept_from_its_beginning_and_its_end(app: App, ground: Ground) -> None:
    log, now = log_of(ground), app.clock.now()
    run = await ground.run(await ground.add())
    await ground.begin(run)
    for number in range(3000):
        log.write(f"{number} " + "x" * 1000, at=now)
    await ground.end(run, 1)
    await ground.until_status(run, RunStatus.FAILED)
    lines = await ground.log(run)
    said = [int(line.split()[1]) for line in lines if line.startswith("STDOUT")]
    kept = len(said) - 200
    assert 900 < kept < 1100, "about a MiB"
    assert said == [*range(kept), *range(2800, 3000)]
    dropped = 3000 - len(said)
    assert f"NOTE [{dropped} lines were dropped here: the log is full]" in lines


async def test_a_node_that_breaks_off_loses_and_repeats_no_line(app: App, ground: Ground) -> None:
    log = log_of(ground)
    run = await ground.run(await ground.add())
    await ground.begin(run)
    for number in range(30):
        log.write(f"line {number}", at=app.clock.now())
        if number % 7 == 3:
            await app.clock.advance(0.4)
            await asyncio.sleep(0.02)
            log.cut()
    await ground.end(run, 0)
    await ground.until_status(run, RunStatus.SUCCEEDED)
    assert [line for line in await ground.log(run) if line.startswith("STDOUT")] == [
        f"STDOUT line {number}" for number in range(30)
    ]


async def test_a_log_that_the_node_cannot_give_holds_the_end_up_for_a_moment_only(app: App, ground: Ground) -> None:
    run = await ground.run(await ground.add())
    await ground.begin(run)
    app.agents.offline.add(NODES[0])
    await ground.end(run, 0)
    await ground.until_status(run, RunStatus.SUCCEEDED)


class _Killed(BaseException):
    """The process dies here."""


def _kill_at(target: int, app: App, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Die at that transaction or ask; every one that is passed is noted."""
    passed: list[str] = []
    write = type(app.database).write

    def note(name: str) -> None:
        passed.append(name)
        if len(passed) == target:
            raise _Killed

    def counted(self: object) -> object:
        note("write")
        return write(self)  # type: ignore[arg-type]

    monkeypatch.setattr(type(app.database), "write", counted)
    app.agents.before = note
    return passed


@pytest.mark.parametrize("moment", range(1, 15))
async def test_killed_at_any_moment_a_run_goes_on_after_the_lease_and_runs_once(
    app: App, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = await make_ground(app)
    log_of(ground).write("one", at=app.clock.now())
    run = await ground.run(await ground.add())
    keys: set[str] = set()
    with monkeypatch.context() as patch:
        passed = _kill_at(moment, app, patch)
        await _bring_forward(ground, run, keys)
        app.agents.before = lambda _: None
    assert passed
    await app.clock.advance(61)
    for _ in range(6):
        await _bring_forward(ground, run, keys)
    done = await ground.see(run)
    assert (done.status, done.attempt) == (RunStatus.SUCCEEDED, 1)
    assert keys == {f"{run.id}.1"}
    assert [line for line in await ground.log(run) if line.startswith("STDOUT")] == ["STDOUT one"]


async def _bring_forward(ground: Ground, run: JobRun, keys: set[str]) -> None:
    """Take steps for as long as there are any, or until the process dies, while the node does as it is told."""
    advancing = asyncio.create_task(ground.parts.steps.advance(run.id))
    while not advancing.done():
        await ground.app.clock.advance(0.2)
        await asyncio.sleep(0.005)
        for told in await ground.on_node():
            keys.add(told.key)
            known = ground.app.fleet.nodes[NODES[0]].job_runs.get(told.key)
            if known is None:
                await ground.report(run, JobRunState.RUNNING, started_at=ground.app.clock.now())
            elif told.begun and known.state is JobRunState.RUNNING:
                await ground.end(run, 0)
    with contextlib.suppress(_Killed, asyncio.CancelledError):
        advancing.result()


async def test_a_run_that_is_given_up_has_failed_for_the_reason(app: App) -> None:
    ground = await make_ground(app)
    run = await ground.run(await ground.add())
    await ground.parts.steps.give_up(run.id, why="an error of controld's own")
    found = await ground.until_status(run, RunStatus.FAILED)
    assert (found.reason, found.exit_code) == ("an error of controld's own", None)
    assert found.finished_at is not None

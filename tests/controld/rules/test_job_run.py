"""The next step of a job's run: placed in its turn, handed over, followed, tried again, and ended in any case."""

from __future__ import annotations

import dataclasses
import datetime as dt

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from controld.model.fleet import NodeFacts
from controld.model.job import Job, JobLaunch, JobRun, RunImage, RunStatus, Trigger
from controld.model.node import NodeState
from controld.model.service import ExternalImageSource
from controld.rules.job_run import (
    Acquire,
    Begin,
    Dispatch,
    Facts,
    Fail,
    Follow,
    Hold,
    Place,
    Retry,
    Skip,
    Step,
    Succeed,
    Timing,
    Unplace,
    Wait,
    decide_run,
    fail_attempt,
    make_config,
)
from controld.rules.placement import Load
from wire.link import EndedBy, JobRunReport, JobRunState
from wire.spec import Limits, Origin

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TIMING = Timing()
IMAGE = RunImage(image="busybox@sha256:aa", origin=Origin.EXTERNAL, digest="sha256:aa")


def make_job(**changes: object) -> Job:
    job = Job(
        id="job-1",
        project_id="project-1",
        name="nightly",
        source=ExternalImageSource(image="busybox:1"),
        command=("/bin/true",),
        env=(),
        schedule=None,
        timezone="UTC",
        max_retries=0,
        timeout_seconds=None,
        resource_limits=None,
        keep_runs=None,
        keep_days=None,
        next_run_at=None,
        last_enqueued_at=None,
        created_at=NOW,
        updated_at=NOW,
    )
    return dataclasses.replace(job, **changes)  # type: ignore[arg-type]


def make_run(**changes: object) -> JobRun:
    run = JobRun(id="run-1", job_id="job-1", status=RunStatus.PENDING, trigger=Trigger.MANUAL, created_at=NOW)
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]


def make_node(
    name: str, state: NodeState = NodeState.READY, *reports: JobRunReport, heard_at: dt.datetime = NOW
) -> NodeFacts:
    return NodeFacts(id=name, name=name, state=state, heard_at=heard_at, job_runs={each.key: each for each in reports})


def make_facts(run: JobRun, *nodes: NodeFacts, now: dt.datetime = NOW, **changes: object) -> Facts:
    facts = Facts(
        now=now,
        run=run,
        launch=JobLaunch(
            job=make_job(), project="shop", limits=Limits(cpu_millis=500, memory_bytes=1000), env=(("A", "1"),)
        ),
        nodes=nodes,
        taken={},
        loads={},
    )
    return dataclasses.replace(facts, **changes)  # type: ignore[arg-type]


def with_retries(facts: Facts, count: int) -> Facts:
    return dataclasses.replace(facts, launch=dataclasses.replace(facts.launch, job=make_job(max_retries=count)))


def dispatched(**changes: object) -> JobRun:
    placed = make_run(node_id="n1", image=IMAGE)
    config = make_config(make_facts(placed), TIMING)
    return dataclasses.replace(placed, config=config, deadline_at=NOW + TIMING.start, **changes)  # type: ignore[arg-type]


def report(state: JobRunState, **more: object) -> JobRunReport:
    return msgspec.structs.replace(JobRunReport(key="run-1.1", state=state), **more)


def test_a_run_goes_to_the_ready_node_with_the_fewest_runs_then_the_least_load() -> None:
    nodes = (make_node("n1"), make_node("n2"), make_node("n3"), make_node("n4", NodeState.DRAINING))
    facts = make_facts(
        make_run(), *nodes, taken={"n1": 1}, loads={"n2": Load(replicas=1, cpu_millis=1, memory_bytes=10)}
    )
    assert decide_run(facts, TIMING) == Place("n3", NOW + TIMING.pull)


def test_a_run_waits_for_its_turn_on_the_platform_and_on_nodes() -> None:
    full = make_facts(make_run(), make_node("n1"), make_node("n2"), taken={"n1": 4, "n2": 4})
    assert decide_run(full, TIMING) == Wait()
    crowded = make_facts(make_run(), make_node("n1"), make_node("n2"), taken={"n2": 3})
    assert decide_run(crowded, dataclasses.replace(TIMING, at_once=3, per_node=10)) == Wait()
    behind = make_facts(make_run(), make_node("n1"), is_next=False)
    assert decide_run(behind, TIMING) == Wait()


def test_a_run_that_was_held_waits_its_turn_when_there_is_a_node_again() -> None:
    held = make_run(deadline_at=NOW + TIMING.placement)
    assert decide_run(make_facts(held, make_node("n1"), is_next=False), TIMING) == Unplace()
    assert decide_run(make_facts(held, make_node("n1")), TIMING) == Place("n1", NOW + TIMING.pull)


def test_a_run_that_no_node_takes_is_held_and_then_skipped_with_the_reason() -> None:
    lost = make_node("n1", NodeState.LOST)
    held = decide_run(make_facts(make_run(), lost), TIMING)
    assert held == Hold(
        NOW + TIMING.placement, "waiting for a node: node n1 is lost, last heard at 2026-01-01T00:00:00.000Z"
    )
    waiting = make_run(deadline_at=NOW + TIMING.placement)
    assert decide_run(make_facts(waiting, lost), TIMING) == Wait()
    late = make_facts(waiting, now=NOW + TIMING.placement)
    assert decide_run(late, TIMING) == Skip("no node could take it: no node is enrolled")
    again = make_facts(dataclasses.replace(waiting, attempt=2), now=NOW + TIMING.placement)
    assert decide_run(again, TIMING) == Fail("no node could take it: no node is enrolled")


def test_an_image_is_acquired_until_the_deadline_and_on_another_node_when_that_is_lost() -> None:
    placed = make_run(node_id="n1", deadline_at=NOW + TIMING.pull)
    assert decide_run(make_facts(placed, make_node("n1")), TIMING) == Acquire()
    assert decide_run(make_facts(placed, make_node("n1", NodeState.SUSPECT)), TIMING) == Acquire()
    assert decide_run(make_facts(placed, make_node("n1", NodeState.LOST)), TIMING) == Unplace()
    assert decide_run(make_facts(placed), TIMING) == Unplace()
    late = decide_run(make_facts(placed, make_node("n1"), now=NOW + TIMING.pull), TIMING)
    assert late == Fail("its image could not be had within 600 seconds", None)


def test_what_the_node_is_told_has_our_words_unless_the_job_sets_them() -> None:
    placed = make_run(node_id="n1", image=IMAGE)
    facts = make_facts(placed, make_node("n1"))
    facts = dataclasses.replace(
        facts, launch=dataclasses.replace(facts.launch, env=(("A", "1"), ("MOORAGE_JOB", "mine")))
    )
    step = decide_run(facts, TIMING)
    assert isinstance(step, Dispatch)
    assert step.deadline_at == NOW + TIMING.start
    assert (step.config.key, step.config.timeout_seconds, step.config.command) == ("run-1.1", 3600.0, ("/bin/true",))
    env = dict(step.config.env)
    assert (env["A"], env["MOORAGE_JOB"], env["MOORAGE_JOB_RUN_ID"]) == ("1", "mine", "run-1")


def test_an_attempt_begins_is_followed_and_succeeds() -> None:
    run = dispatched()
    assert decide_run(make_facts(run, make_node("n1")), TIMING) == Follow()
    running = make_node("n1", NodeState.READY, report(JobRunState.RUNNING, started_at=NOW))
    begun_by = NOW + dt.timedelta(seconds=3610) + TIMING.end
    assert decide_run(make_facts(run, running), TIMING) == Begin(NOW, begun_by)
    begun = dataclasses.replace(run, begun=True, deadline_at=begun_by)
    assert decide_run(make_facts(begun, running), TIMING) == Follow()
    ended = report(JobRunState.ENDED, exit_code=0)
    assert decide_run(make_facts(begun, make_node("n1", NodeState.READY, ended)), TIMING) == Succeed(ended)


def test_an_attempt_that_failed_is_tried_again_with_growing_pauses() -> None:
    ended = report(JobRunState.ENDED, exit_code=3, reason="it exited with code 3")
    node = make_node("n1", NodeState.READY, ended)
    once = decide_run(with_retries(make_facts(dispatched(), node), 1), TIMING)
    assert once == Retry("it exited with code 3", NOW + dt.timedelta(seconds=1), ended)
    assert decide_run(make_facts(dispatched(), node), TIMING) == Fail("it exited with code 3", ended)
    pauses = []
    for attempt in (1, 2, 3, 8, 2000):
        step = fail_attempt(with_retries(make_facts(dispatched(attempt=attempt), node), 9999), "no")
        assert isinstance(step, Retry)
        pauses.append((step.retry_at - NOW).total_seconds())
    assert pauses == [1, 2, 4, 60, 60]


def test_an_exit_of_0_after_the_agent_ended_it_is_no_success() -> None:
    ended = report(JobRunState.ENDED, exit_code=0, ended_by=EndedBy.TIMEOUT, reason="too long")
    step = decide_run(make_facts(dispatched(), make_node("n1", NodeState.READY, ended)), TIMING)
    assert step == Fail("too long", ended)


def test_a_cancelled_run_is_not_tried_again_and_says_who_asked() -> None:
    waiting = make_run(cancel_requested_at=NOW, reason="cancelled by ada")
    assert decide_run(with_retries(make_facts(waiting, make_node("n1")), 5), TIMING) == Fail("cancelled by ada")
    run = dispatched(cancel_requested_at=NOW, reason="cancelled by ada", begun=True)
    assert decide_run(make_facts(run, make_node("n1")), TIMING) == Follow()
    ended = report(JobRunState.ENDED, exit_code=137, ended_by=EndedBy.CANCEL)
    step = decide_run(with_retries(make_facts(run, make_node("n1", NodeState.READY, ended)), 5), TIMING)
    assert step == Fail("cancelled by ada", ended)


def test_an_attempt_on_a_lost_node_fails_and_one_on_a_draining_node_goes_on() -> None:
    run = dispatched(begun=True)
    step = decide_run(make_facts(run, make_node("n1", NodeState.LOST)), TIMING)
    assert step == Fail("its node was lost: node n1 is lost, last heard at 2026-01-01T00:00:00.000Z", None)
    assert decide_run(make_facts(run), TIMING) == Fail("its node was removed", None)
    assert decide_run(make_facts(run, make_node("n1", NodeState.SUSPECT)), TIMING) == Follow()
    draining = make_node("n1", NodeState.DRAINING)
    assert decide_run(make_facts(run, draining), TIMING) == Follow()
    assert isinstance(decide_run(make_facts(run, draining, now=NOW + TIMING.lost), TIMING), Fail)


def test_a_node_that_does_not_start_it_in_time_fails_the_attempt_with_its_word() -> None:
    pending = make_node("n1", NodeState.READY, report(JobRunState.PENDING, reason="the engine is away"))
    late = make_facts(dispatched(), pending, now=NOW + TIMING.start)
    assert decide_run(late, TIMING) == Fail("node n1 did not start it in time: the engine is away", None)
    silent = make_facts(dispatched(), make_node("n1", NodeState.SUSPECT), now=NOW + TIMING.start)
    assert decide_run(silent, TIMING) == Follow()


STATES = st.sampled_from(list(NodeState))
WORDS = st.sampled_from(
    [
        None,
        report(JobRunState.PENDING),
        report(JobRunState.RUNNING, started_at=NOW),
        report(JobRunState.FAILED, reason="lost"),
        report(JobRunState.ENDED, exit_code=0),
        report(JobRunState.ENDED, exit_code=1),
        report(JobRunState.ENDED, ended_by=EndedBy.TIMEOUT),
    ]
)


@given(
    moments=st.lists(st.tuples(STATES, WORDS, st.booleans(), st.integers(0, 600)), max_size=40),
    retries=st.integers(0, 3),
    cancel_at=st.integers(0, 60),
)
def test_whatever_nodes_say_a_run_comes_to_an_end(
    moments: list[tuple[NodeState, JobRunReport | None, bool, int]], retries: int, cancel_at: int
) -> None:
    run, now, launch_facts = make_run(), NOW, with_retries(make_facts(make_run()), retries)
    for number in range(2000):
        state, word, has_image, pause = moments[number] if number < len(moments) else (NodeState.READY, None, True, 600)
        reports = () if word is None else (msgspec.structs.replace(word, key=f"run-1.{run.attempt}"),)
        node = make_node("n1", state, *reports, heard_at=now if state is NodeState.READY else NOW)
        if number == cancel_at:
            run = dataclasses.replace(run, cancel_requested_at=now, reason="cancelled")
        step = decide_run(dataclasses.replace(launch_facts, now=now, run=run, nodes=(node,)), TIMING)
        after = _apply(step, run, has_image=has_image)
        if after is None:
            return
        run, now = after, now + dt.timedelta(seconds=pause)
    raise AssertionError(f"it never ended: {run}")


def _apply(step: Step, run: JobRun, *, has_image: bool) -> JobRun | None:
    """The run after the step; None when it has ended."""
    match step:
        case Hold(deadline_at=deadline_at):
            return dataclasses.replace(run, deadline_at=deadline_at)
        case Place(node_id=node_id, deadline_at=deadline_at):
            return dataclasses.replace(run, node_id=node_id, deadline_at=deadline_at, retry_at=None)
        case Unplace():
            return dataclasses.replace(run, node_id=None, image=None, deadline_at=None)
        case Acquire():
            return dataclasses.replace(run, image=IMAGE if has_image else None)
        case Dispatch(config=config, deadline_at=deadline_at):
            return dataclasses.replace(run, config=config, deadline_at=deadline_at)
        case Begin(started_at=started_at, deadline_at=deadline_at):
            return dataclasses.replace(run, begun=True, started_at=started_at, deadline_at=deadline_at)
        case Retry(retry_at=retry_at):
            return dataclasses.replace(
                run,
                attempt=run.attempt + 1,
                retry_at=retry_at,
                node_id=None,
                image=None,
                config=None,
                begun=False,
                deadline_at=None,
            )
        case Wait() | Follow():
            return run
        case Succeed() | Fail() | Skip():
            return None

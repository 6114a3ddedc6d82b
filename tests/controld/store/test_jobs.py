"""Jobs and their runs behave alike on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt

import pytest

from controld.core.faults import AlreadyExists
from controld.model.job import Job, JobRun, RunImage, RunStatus, Trigger
from controld.model.page import Page
from controld.model.service import ExternalImageSource, ResourceLimits
from controld.store.engine import Database
from controld.store.job_run_logs import JobRunLogStore
from controld.store.job_runs import JobRunStore
from controld.store.jobs import JobStore
from controld.store.node_specs import NodeSpecStore
from controld.store.projects import ProjectStore
from tests.controld.store.rows import NOW, PROJECT
from wire.spec import JobRun as NodeRun
from wire.spec import Limits, Origin

LATER = NOW + dt.timedelta(seconds=30)
DAY = dt.timedelta(days=1)
JOB = Job(
    id="j1",
    project_id=PROJECT.id,
    name="nightly backup",
    source=ExternalImageSource(image="", registry_id="r1", image_ref="tool:1"),
    command=("/bin/sh", "-c", "true"),
    env=(("B", "1"), ("A", "ü\n"), ("B", "2")),
    schedule="0 4 * * *",
    timezone="Europe/Berlin",
    max_retries=2**32 - 1,
    timeout_seconds=60,
    resource_limits=ResourceLimits(cpu_millis=1, memory_bytes=2**40),
    keep_runs=5,
    keep_days=7,
    next_run_at=NOW,
    last_enqueued_at=NOW - DAY,
    created_at=NOW,
    updated_at=NOW,
)
PLAIN = dataclasses.replace(
    JOB,
    id="j2",
    name="aplain",
    command=None,
    schedule=None,
    next_run_at=None,
    resource_limits=None,
    timeout_seconds=None,
    keep_runs=None,
    keep_days=None,
)
CONFIG = NodeRun(
    id="run",
    attempt=1,
    job_id="j1",
    project="shop",
    job="nightly backup",
    image="tool@sha256:aa",
    origin=Origin.EXTERNAL,
    limits=Limits(cpu_millis=1, memory_bytes=1),
    timeout_seconds=60.0,
)


def make_run(number: int, **changes: object) -> JobRun:
    run = JobRun(
        id=f"r{number:03}",
        job_id="j1",
        status=RunStatus.PENDING,
        trigger=Trigger.SCHEDULE,
        due_at=NOW + number * DAY,
        created_at=NOW,
    )
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]


@pytest.fixture
async def store(either_database: Database) -> Database:
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        await JobStore().add(tx, JOB)
        await JobStore().add(tx, PLAIN)
    return either_database


async def test_jobs_are_read_as_they_were_written(store: Database) -> None:
    jobs = JobStore()
    async with store.read() as tx:
        assert await jobs.get(tx, "j1") == JOB
        assert await jobs.get(tx, "nope") is None
        assert list(await jobs.list(tx, PROJECT.id)) == [PLAIN, JOB]
        assert await ProjectStore().count_jobs(tx, PROJECT.id) == 2
    changed = dataclasses.replace(JOB, name="b", command=None, schedule=None, next_run_at=None)
    async with store.write() as tx:
        await jobs.update(tx, changed)
        await jobs.delete(tx, "j2")
    async with store.read() as tx:
        assert list(await jobs.list(tx, PROJECT.id)) == [changed]


async def test_a_launch_merges_what_the_project_shares(store: Database) -> None:
    async with store.read() as tx:
        own, shared = await JobStore().find_launch(tx, "j1"), await JobStore().find_launch(tx, "j2")
    assert own is not None
    assert shared is not None
    assert dict(own.env) == {"A": "ü\n", "B": "2"}
    assert (own.project, own.limits) == ("shop", Limits(cpu_millis=1, memory_bytes=2**40))
    assert shared.limits == Limits(cpu_millis=2**32 - 1, memory_bytes=2**63 - 1)


async def test_a_due_job_is_moved_by_one_of_many(store: Database) -> None:
    jobs = JobStore()
    async with store.read() as tx:
        assert [job.id for job in await jobs.list_due(tx, NOW, limit=10)] == ["j1"]
        assert await jobs.list_due(tx, NOW - DAY, limit=10) == []
        assert [job.id for job in await jobs.list_scheduled(tx, after="", limit=10)] == ["j1"]

    async def move() -> bool:
        async with store.write() as tx:
            return await jobs.move(tx, JOB, next_run_at=NOW + DAY, enqueued_at=NOW)

    assert sorted(await asyncio.gather(*(move() for _ in range(5)))) == [False] * 4 + [True]
    async with store.read() as tx:
        moved = await jobs.get(tx, "j1")
    assert moved is not None
    assert (moved.next_run_at, moved.last_enqueued_at) == (NOW + DAY, NOW)


async def test_of_each_moment_there_is_one_run(store: Database) -> None:
    runs = JobRunStore()
    async with store.write() as tx:
        await runs.insert(tx, make_run(1))
        await runs.insert(tx, make_run(2, due_at=None))
        await runs.insert(tx, make_run(3, due_at=None))
    with pytest.raises(AlreadyExists):
        async with store.write() as tx:
            await runs.insert(tx, make_run(4, due_at=make_run(1).due_at))
    async with store.read() as tx:
        assert await runs.is_known(tx, "j1", due_at=NOW + DAY)
        assert not await runs.is_known(tx, "j2", due_at=NOW + DAY)


async def test_a_run_is_read_as_it_was_written_and_paged_newest_first(store: Database) -> None:
    runs = JobRunStore()
    whole = make_run(
        3,
        attempt=2,
        exit_code=137,
        oom_killed=True,
        reason="why",
        started_at=NOW,
        finished_at=LATER,
        created_by="u1",
        node_id="n1",
        image=RunImage(image="tool@sha256:aa", origin=Origin.EXTERNAL, digest="sha256:aa"),
        config=CONFIG,
        begun=True,
        retry_at=LATER,
        deadline_at=LATER,
        cancel_requested_at=NOW,
        log_cursor="c-1",
    )
    async with store.write() as tx:
        for run in (make_run(1), make_run(2), whole):
            await runs.insert(tx, run)
    async with store.read() as tx:
        assert await runs.find(tx, "r003") == whole
        first = await runs.list_of_job(tx, "j1", page=Page(limit=1))
        assert [run.id for run in first] == ["r003", "r002"]
        rest = await runs.list_of_job(tx, "j1", page=Page(limit=5, before="r002"))
        assert [run.id for run in rest] == ["r001"]
        assert [run.id for run in await runs.list_active(tx)] == ["r001", "r002", "r003"]


async def test_one_of_many_gets_the_lease_and_writes_only_under_it(store: Database) -> None:
    runs = JobRunStore()
    async with store.write() as tx:
        await runs.insert(tx, make_run(1))

    async def claim(owner: str) -> str | None:
        async with store.write() as tx:
            return owner if await runs.claim(tx, "r001", owner=owner, now=NOW, until=LATER) else None

    (owner,) = [each for each in await asyncio.gather(*(claim(f"o{n}") for n in range(5))) if each]
    run = make_run(1)
    async with store.write() as tx:
        assert not await runs.change(tx, run, owner="other", reason="no")
        assert await runs.change(tx, run, owner=owner, status=RunStatus.RUNNING, config=CONFIG)
        assert not await runs.note_cursor(tx, "r001", owner="other", cursor="c")
        assert await runs.renew(tx, "r001", owner="other", until=LATER) is None
        assert await runs.renew(tx, "r001", owner=owner, until=LATER + DAY) is not None
        await runs.release(tx, "r001", owner=owner)
        assert await runs.claim(tx, "r001", owner="next", now=NOW, until=LATER) is not None
        await runs.release_all(tx)
        assert await runs.claim(tx, "r001", owner="last", now=NOW, until=LATER) is not None
        assert await runs.change(tx, run, owner="last", status=RunStatus.SUCCEEDED)
        assert not await runs.change(tx, run, owner="last", status=RunStatus.RUNNING), "what has ended stays so"


async def test_a_lease_written_ahead_of_a_clock_set_back_holds_nothing(store: Database) -> None:
    runs = JobRunStore()
    async with store.write() as tx:
        await runs.insert(tx, make_run(1))
        assert await runs.claim(tx, "r001", owner="a", now=NOW + DAY, until=LATER + DAY) is not None
        assert await runs.claim(tx, "r001", owner="b", now=NOW, until=LATER) is not None


async def test_a_node_is_told_of_active_attempts_alone_and_whether_they_are_to_end(store: Database) -> None:
    runs = JobRunStore()
    async with store.write() as tx:
        await runs.insert(tx, make_run(1, node_id="n1", config=CONFIG, begun=True))
        await runs.insert(tx, make_run(2, node_id="n1"))
        await runs.insert(tx, make_run(3, node_id="n1", config=CONFIG, status=RunStatus.FAILED))
        await runs.insert(tx, make_run(4, node_id="n2", config=CONFIG))
    async with store.read() as tx:
        (told,) = (await NodeSpecStore().read(tx, "n1")).job_runs
    assert (told.begun, told.cancelled) == (True, False)
    async with store.write() as tx:
        run = await runs.find(tx, "r001")
        assert run is not None
        assert await runs.request_cancel(tx, run, at=NOW, reason="cancelled by ada")
        assert await runs.request_cancel(tx, run, at=LATER, reason="cancelled by bob")
        finished = await runs.find(tx, "r003")
        assert finished is not None
        assert not await runs.request_cancel(tx, finished, at=NOW, reason="late")
    async with store.read() as tx:
        (told,) = (await NodeSpecStore().read(tx, "n1")).job_runs
        seen = await runs.find(tx, "r001")
    assert told.cancelled
    assert seen is not None
    assert (seen.reason, seen.cancel_requested_at) == ("cancelled by ada", NOW)


async def test_the_reason_of_a_cancel_takes_the_place_of_why_a_run_waits(store: Database) -> None:
    runs = JobRunStore()
    async with store.write() as tx:
        run = make_run(1, reason="waiting for a node")
        await runs.insert(tx, run)
        await runs.request_cancel(tx, run, at=NOW, reason="cancelled by ada")
        seen = await runs.find(tx, "r001")
    assert seen is not None
    assert seen.reason == "cancelled by ada"


async def test_runs_are_kept_by_number_and_age_and_the_newest_in_any_case(store: Database) -> None:
    runs = JobRunStore()
    done = {"status": RunStatus.SUCCEEDED, "finished_at": NOW}
    async with store.write() as tx:
        for number in range(1, 8):
            await runs.insert(tx, make_run(number, **done))
        for number in range(10, 17):
            await runs.insert(tx, make_run(number, status=RunStatus.SKIPPED, finished_at=NOW))
        await runs.insert(tx, make_run(20))
        await runs.insert(tx, make_run(30, job_id="j2", **done))
        await runs.insert(tx, make_run(31, job_id="j2", **done))
        await JobRunLogStore().append(tx, "r001", at=NOW, phase="STDOUT", texts=["gone with it"])

    async def spent(now: dt.datetime) -> list[str]:
        async with store.read() as tx:
            return sorted(await runs.list_spent(tx, now=now, keep_runs=1, keep=30 * DAY, limit=100))

    assert await spent(NOW + DAY) == ["r001", "r002", "r010", "r011", "r030"], "5 of j1, as many skipped; 1 of j2"
    assert await spent(NOW + 8 * DAY) == [
        *(f"r{number:03}" for number in (1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15)),
        "r030",
    ]
    async with store.write() as tx:
        await runs.delete(tx, ["r001", "r020"])
        assert await runs.find(tx, "r001") is None
        assert await runs.find(tx, "r020") is not None, "an active run is not forgotten"


async def test_the_log_of_a_run_is_numbered_and_measured(store: Database) -> None:
    logs = JobRunLogStore()
    async with store.write() as tx:
        await JobRunStore().insert(tx, make_run(1))
        await logs.append(tx, "r001", at=NOW, phase="START", texts=["attempt 1"])
        await logs.append_lines(tx, "r001", lines=[(NOW, "STDOUT", "one"), (LATER, "STDERR", "two")])
        lines = await logs.read(tx, "r001", after=0, limit=10)
        assert [(line.seq, line.phase, line.text) for line in lines] == [
            (1, "START", "attempt 1"),
            (2, "STDOUT", "one"),
            (3, "STDERR", "two"),
        ]
        assert await logs.measure(tx, "r001", phases={"STDOUT", "STDERR"}) == (2, 6)
        assert await logs.last_seq(tx, "r001") == 3

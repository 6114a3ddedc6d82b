"""A schedule's moments become runs once each, and what did not happen is written down."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from controld.core.job_schedule import JobSchedule
from controld.model.caller import SETUP_CALLER
from controld.model.job import RunStatus, Trigger
from controld.store.engine import Database
from controld.store.job_runs import JobRunStore
from controld.store.jobs import JobStore
from controld.store.projects import ProjectStore
from controld.store.zones import ZoneFiles
from kit.ids import SystemIds
from tests.controld.app import App
from tests.controld.jobs import MINUTE, Ground, make_draft, make_ground
from tests.controld.store.rows import NOW, PROJECT
from tests.controld.store.test_jobs import JOB
from tests.fakes.clock import FakeClock

HOUR_SECONDS = 3600.0


@pytest.fixture
async def ground(app: App) -> Ground:
    return await make_ground(app)


async def test_a_due_job_gets_a_pending_run_and_its_next_moment(app: App, ground: Ground) -> None:
    job = await ground.add(schedule="0 * * * *")
    assert job.next_run_at == app.clock.now() + dt.timedelta(hours=1)
    await ground.tick()
    assert await ground.runs(job) == []
    await app.clock.advance(HOUR_SECONDS + 2)
    await ground.tick()
    await ground.tick()
    (run,) = await ground.runs(job)
    assert (run.status, run.trigger, run.due_at) == (RunStatus.PENDING, Trigger.SCHEDULE, job.next_run_at)
    now = await ground.get(job)
    assert now.next_run_at == app.clock.now() - dt.timedelta(seconds=2) + dt.timedelta(hours=1)
    assert now.last_enqueued_at == app.clock.now()


async def test_a_moment_that_comes_while_a_run_is_active_is_skipped_and_says_so(app: App, ground: Ground) -> None:
    job = await ground.add(schedule="* * * * *")
    first = await ground.run(job)
    await app.clock.advance(61)
    await ground.tick()
    skipped, active = await ground.runs(job)
    assert active.id == first.id
    assert (skipped.status, skipped.reason, skipped.attempt) == (
        RunStatus.SKIPPED,
        "the run before it was still active",
        1,
    )
    assert skipped.finished_at == app.clock.now()


async def test_what_was_due_while_nobody_looked_is_told_and_the_last_is_made_up(app: App, ground: Ground) -> None:
    job = await ground.add(schedule="*/10 * * * *")
    await app.clock.advance(35 * 60)
    await ground.tick()
    run, missed = await ground.runs(job)
    assert (run.status, run.due_at) == (RunStatus.PENDING, job.created_at + 30 * MINUTE)
    assert (missed.status, missed.due_at) == (RunStatus.SKIPPED, job.next_run_at)
    assert (missed.reason or "").startswith("2 due runs from 2026-01-01T00:10:00.000Z to 2026-01-01T00:20:00.000Z")


async def test_what_was_due_too_long_ago_is_not_made_up(app: App, ground: Ground) -> None:
    job = await ground.add(schedule="0 4 * * *")
    await app.clock.advance(28 * 86_400)
    await ground.tick()
    (missed,) = await ground.runs(job)
    assert missed.status is RunStatus.SKIPPED
    assert "28 due runs from 2026-01-01T04:00:00.000Z to 2026-01-28T04:00:00.000Z did not happen" in (
        missed.reason or ""
    )


async def test_a_clock_set_forward_and_back_runs_no_moment_twice_and_loses_no_job(app: App, ground: Ground) -> None:
    job = await ground.add(schedule="0 * * * *")
    year = 365 * 86_400.0
    app.clock.jump(year)
    await ground.tick()
    assert [run.status for run in await ground.runs(job)] == [RunStatus.PENDING, RunStatus.SKIPPED]
    app.clock.jump(-year)
    await ground.tick()
    healed = await ground.get(job)
    assert healed.next_run_at is not None
    assert healed.next_run_at > app.clock.now() + dt.timedelta(days=300)
    await ground.parts.schedule.heal()
    healed = await ground.get(job)
    assert healed.next_run_at == app.clock.now() + dt.timedelta(hours=1)


async def test_a_moment_that_comes_again_after_the_clock_was_set_back_is_not_run_again(
    app: App, ground: Ground
) -> None:
    job = await ground.add(schedule="* * * * *")
    await app.clock.advance(60)
    await ground.tick()
    (run,) = await ground.runs(job)
    app.clock.jump(-2)
    await ground.parts.schedule.heal()
    assert (await ground.get(job)).next_run_at == run.due_at
    await app.clock.advance(2)
    await ground.tick()
    assert [each.id for each in await ground.runs(job)] == [run.id]


async def test_a_schedule_is_read_in_its_zone(app: App, ground: Ground) -> None:
    job = await ground.add(schedule="30 2 * * *", timezone="Asia/Kathmandu")
    assert job.next_run_at == dt.datetime(2026, 1, 1, 20, 45, tzinfo=dt.UTC)


async def test_a_job_that_is_changed_is_due_by_its_new_schedule(app: App, ground: Ground) -> None:
    job = await ground.add(schedule="0 * * * *")

    async def change(schedule: str | None, timezone: str = "UTC") -> dt.datetime | None:
        draft = make_draft(schedule=schedule, timezone=timezone)
        return (await ground.parts.jobs.update(SETUP_CALLER, job.id, draft)).next_run_at

    start = app.clock.now()
    assert await change("*/10 * * * *") == start + 10 * MINUTE
    await app.clock.advance(61)
    assert await change("*/10 * * * *") == start + 10 * MINUTE
    assert await change("0 12 * * *", "Asia/Kathmandu") == start + dt.timedelta(hours=6, minutes=15)
    assert await change(None) is None
    assert await change("@hourly") == start + dt.timedelta(hours=1)


async def test_controlds_that_share_a_database_run_each_moment_once(either_database: Database) -> None:
    async with either_database.write() as tx:
        await ProjectStore().add(tx, PROJECT)
        for number in range(5):
            job = {**{field: getattr(JOB, field) for field in JOB.__dataclass_fields__}, "id": f"j{number}"}
            await JobStore().add(tx, type(JOB)(**job))
    clock = FakeClock(NOW + dt.timedelta(seconds=1))

    def make() -> JobSchedule:
        return JobSchedule(
            database=either_database,
            jobs=JobStore(),
            runs=JobRunStore(),
            zones=ZoneFiles(),
            clock=clock,
            ids=SystemIds(),
            late_seconds=3600,
        )

    await asyncio.gather(*(make().enqueue_due() for _ in range(4)))
    async with either_database.read() as tx:
        active = await JobRunStore().list_active(tx)
    assert sorted(run.job_id for run in active) == [f"j{number}" for number in range(5)]

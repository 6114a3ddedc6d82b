"""The duty of jobs makes runs as they come due and forgets those that were kept long enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controld.loops.jobs import JobDuty
from controld.model.job import JobRun, RunStatus
from kit.tasks import Tasks
from tests.controld.app import App
from tests.controld.jobs import make_ground


async def test_a_jobs_runs_come_by_themselves_and_the_oldest_are_forgotten(app: App) -> None:
    ground = await make_ground(app)
    job = await ground.add(schedule="* * * * *", keep_runs=3)
    duty = JobDuty(schedule=ground.parts.schedule, retention=ground.parts.retention, clock=app.clock)
    tasks = Tasks("test")
    tasks.start("jobs", duty.run())

    async def pass_until(met: Callable[[list[JobRun]], bool]) -> list[JobRun]:
        async with asyncio.timeout(30):
            while not met(runs := await ground.runs(job)):
                await app.clock.advance(1)
                await asyncio.sleep(0.002)
        return runs

    try:
        (first,) = await pass_until(lambda runs: len(runs) == 1)
        assert first.status is RunStatus.PENDING
        await pass_until(lambda runs: len(runs) > 5)
        left = await pass_until(lambda runs: len(runs) <= 4)
        assert [run.status for run in left] == [RunStatus.SKIPPED] * 3 + [RunStatus.PENDING]
        assert left[-1].id == first.id, "an active run is never forgotten"
    finally:
        await tasks.close()

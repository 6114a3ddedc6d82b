"""Jobs with nodes under them, for tests of what their runs do."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from controld.loops.steps import StepDuty
from controld.model.caller import SETUP_CALLER
from controld.model.job import Job, JobDraft, JobRun, RunStatus
from controld.model.page import Page
from controld.model.service import ExternalImageSource
from controld.parts.jobs import JobParts
from controld.rules.deployment_log import render_line
from controld.store.job_run_logs import JobRunLogStore
from controld.store.job_runs import JobRunStore
from controld.store.node_specs import NodeSpecStore
from controld.store.nodes import NodeStore
from kit.tasks import Tasks
from tests.controld.app import App
from tests.controld.deploying import make_node
from tests.fakes.agents import DIGEST
from wire.agent.builds import WorkDone
from wire.link import EndedBy, JobRunReport, JobRunState
from wire.spec import JobRun as NodeRun
from wire.spec import Origin

IMAGE_SOURCE: Final = {"type": "external_image", "image": "docker.io/library/busybox:1"}
PULLED: Final = WorkDone(image=f"busybox@{DIGEST}", origin=Origin.EXTERNAL, digest=DIGEST, size_bytes=1000)
NODES: Final = tuple(f"00000000-0000-7000-8000-00000000000{number}" for number in (1, 2, 3))


def job_body(project_id: str, **changes: Any) -> dict[str, Any]:
    """A job as a client sends it."""
    return {"project_id": project_id, "name": "nightly", "source": IMAGE_SOURCE, **changes}


def make_draft(**changes: Any) -> JobDraft:
    """A job as a caller wants it."""
    fields: dict[str, Any] = {"name": "nightly", "source": ExternalImageSource(image="docker.io/library/busybox:1")}
    return JobDraft(**{**fields, **changes})


class Ground:
    """A project with some ready nodes, whose agents have every image."""

    def __init__(self, app: App, project_id: str, *, nodes: int) -> None:
        self.app = app
        self.project_id = project_id
        self.nodes = NODES[:nodes]
        self.tasks = Tasks("ground")

    @property
    def parts(self) -> JobParts:
        """The parts under test."""
        return self.app.jobs

    async def add(self, **changes: Any) -> Job:
        """A job with these changes."""
        return await self.parts.jobs.create(SETUP_CALLER, self.project_id, make_draft(**changes))

    async def run(self, job: Job) -> JobRun:
        """Ask for a run."""
        return await self.parts.jobs.run(SETUP_CALLER, job.id)

    async def get(self, job: Job) -> Job:
        """The job as it is now."""
        return await self.parts.jobs.get(SETUP_CALLER, job.id)

    async def see(self, run: JobRun) -> JobRun:
        """The run as it is now."""
        async with self.app.database.read() as tx:
            found = await JobRunStore().find(tx, run.id)
        assert found is not None
        return found

    async def runs(self, job: Job) -> list[JobRun]:
        """The job's runs, newest first."""
        return list((await self.parts.runs.list(SETUP_CALLER, job.id, Page(limit=1000))).items)

    async def log(self, run: JobRun) -> list[str]:
        """The lines without their moment."""
        async with self.app.database.read() as tx:
            lines = await JobRunLogStore().read(tx, run.id, after=0, limit=100_000)
        return [render_line(line).partition(" ")[2] for line in lines]

    async def on_node(self, node_id: str | None = None) -> tuple[NodeRun, ...]:
        """The attempts that a node is told of."""
        async with self.app.database.read() as tx:
            return (await NodeSpecStore().read(tx, node_id or self.nodes[0])).job_runs

    async def tick(self) -> None:
        """Look at what is due."""
        await self.parts.schedule.enqueue_due()

    def start(self) -> None:
        """Let the duty of runs bring them forward by itself."""
        duty = StepDuty(
            "job_run",
            steps=self.parts.steps,
            kinds=("job_run", "report", "node"),
            feed=self.app.database.feed,
            clock=self.app.clock,
        )
        self.tasks.start("runs", duty.run())

    async def until(self, run: JobRun, met: Callable[[JobRun], bool]) -> JobRun:
        """The run once it is so; time passes meanwhile."""
        async with asyncio.timeout(20):
            while True:
                seen = await self.see(run)
                if met(seen):
                    return seen
                await self.app.clock.advance(0.2)
                await asyncio.sleep(0.005)

    async def until_status(self, run: JobRun, status: RunStatus) -> JobRun:
        """The run once it has the status."""
        return await self.until(run, lambda seen: seen.status is status)

    async def until_on_node(self, run: JobRun, *, attempt: int = 1) -> JobRun:
        """The run once the attempt was handed to a node."""
        return await self.until(run, lambda seen: seen.config is not None and seen.config.attempt == attempt)

    async def report(self, run: JobRun, state: JobRunState, **more: Any) -> None:
        """Have the run's node report this of its attempt."""
        seen = await self.see(run)
        assert seen.config is not None
        assert seen.node_id is not None
        self.app.fleet.report_run(seen.node_id, JobRunReport(key=seen.config.key, state=state, **more))

    async def begin(self, run: JobRun, *, attempt: int = 1) -> JobRun:
        """The run once its attempt runs on its node."""
        await self.until_on_node(run, attempt=attempt)
        await self.report(run, JobRunState.RUNNING, started_at=self.app.clock.now())
        return await self.until(run, lambda seen: seen.begun)

    async def end(self, run: JobRun, code: int, **more: Any) -> None:
        """Have the attempt end with this code."""
        now = self.app.clock.now()
        reason = None if code == 0 else f"it exited with code {code}"
        fields: dict[str, Any] = {"started_at": now, "finished_at": now, "exit_code": code, "reason": reason}
        await self.report(run, JobRunState.ENDED, **{**fields, **more})


async def make_ground(app: App, *, nodes: int = 1) -> Ground:
    """A project with as many ready nodes."""
    ground = Ground(app, await app.add_project(), nodes=nodes)
    app.agents.events = [PULLED]
    async with app.database.write() as tx:
        for node_id in ground.nodes:
            await NodeStore().add(tx, make_node(node_id))
            app.fleet.put(node_id)
    return ground


CANCELLED: Final[dict[str, Any]] = {"ended_by": EndedBy.CANCEL, "reason": "it was cancelled", "exit_code": 137}
MINUTE: Final = dt.timedelta(minutes=1)

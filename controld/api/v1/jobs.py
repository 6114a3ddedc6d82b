"""Jobs, their runs and what those said."""

from __future__ import annotations

from controld.api.v1.kept_logs import RunLineShape, RunLogQuery, read_last_id, render_kept, stream_log
from controld.api.v1.paging import PageQuery, answer_page, read_page
from controld.api.v1.shapes import DeletedShape
from controld.api.v1.shapes_job import (
    JobAsked,
    JobChangeAsked,
    JobQuery,
    JobRunShape,
    JobShape,
    read_job,
    render_job,
    render_run,
)
from controld.core.faults import (
    InUse,
    JobActive,
    JobNotFound,
    ProjectNotFound,
    RegistryNotFound,
    RunFinished,
    TooManyStreams,
)
from controld.core.job_runs import JobRuns
from controld.core.jobs import Jobs
from controld.model.caller import Caller
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.surface import Answer, Ask, Route

_PATH = "/v1/jobs/{job_id}"
_RUN = f"{_PATH}/runs/{{run_id}}"


def routes(jobs: Jobs, runs: JobRuns, *, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""
    return (*_job_routes(jobs), *_run_routes(jobs, runs), *_log_routes(runs, clock=clock))


def _job_routes(jobs: Jobs) -> tuple[Route, ...]:
    async def list_jobs(ask: Ask) -> list[JobShape]:
        query: JobQuery = ask.query
        return [render_job(job) for job in await jobs.list(ask.caller, str(query.project_id))]

    async def create_job(ask: Ask) -> JobShape:
        body: JobAsked = ask.body
        return render_job(await jobs.create(ask.caller, str(body.project_id), read_job(body)))

    async def get_job(ask: Ask) -> JobShape:
        return render_job(await jobs.get(ask.caller, ask.path["job_id"]))

    async def update_job(ask: Ask) -> JobShape:
        return render_job(await jobs.update(ask.caller, ask.path["job_id"], read_job(ask.body)))

    async def delete_job(ask: Ask) -> DeletedShape:
        await jobs.delete(ask.caller, ask.path["job_id"])
        return DeletedShape()

    return (
        Route(
            method="GET",
            path="/v1/jobs",
            access="viewer",
            handler=list_jobs,
            summary="The project's jobs, by name",
            query=JobQuery,
            answer=list[JobShape],
            faults=(Invalid, Forbidden, ProjectNotFound),
        ),
        Route(
            method="POST",
            path="/v1/jobs",
            access="operator",
            handler=create_job,
            summary="Create a job",
            body=JobAsked,
            answer=JobShape,
            status=201,
            faults=(Invalid, Forbidden, ProjectNotFound, RegistryNotFound),
        ),
        Route(
            method="GET",
            path=_PATH,
            access="viewer",
            handler=get_job,
            summary="One job",
            answer=JobShape,
            faults=(JobNotFound,),
        ),
        Route(
            method="PUT",
            path=_PATH,
            access="operator",
            handler=update_job,
            summary="Replace a job; its project stays, and a run under way goes on as it was started",
            body=JobChangeAsked,
            answer=JobShape,
            faults=(Invalid, Forbidden, JobNotFound, RegistryNotFound),
        ),
        Route(
            method="DELETE",
            path=_PATH,
            access="operator",
            handler=delete_job,
            summary="Remove a job with its runs and their logs, when none is active",
            answer=DeletedShape,
            faults=(Forbidden, JobNotFound, InUse),
        ),
    )


def _run_routes(jobs: Jobs, runs: JobRuns) -> tuple[Route, ...]:
    async def run_job(ask: Ask) -> JobRunShape:
        return render_run(await jobs.run(ask.caller, ask.path["job_id"]))

    async def list_runs(ask: Ask) -> Answer:
        return answer_page(ask, await runs.list(ask.caller, ask.path["job_id"], read_page(ask.query)), render_run)

    async def get_run(ask: Ask) -> JobRunShape:
        return render_run(await runs.get(ask.caller, ask.path["job_id"], ask.path["run_id"]))

    async def cancel_run(ask: Ask) -> JobRunShape:
        return render_run(await runs.cancel(ask.caller, ask.path["job_id"], ask.path["run_id"]))

    return (
        Route(
            method="POST",
            path=f"{_PATH}/run",
            access="operator",
            handler=run_job,
            summary="Run the job now",
            answer=JobRunShape,
            status=202,
            faults=(Forbidden, JobNotFound, JobActive),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/runs",
            access="viewer",
            handler=list_runs,
            summary="The job's runs, newest first, a page at a time",
            query=PageQuery,
            answer=list[JobRunShape],
            faults=(Invalid, JobNotFound),
        ),
        Route(
            method="GET",
            path=_RUN,
            access="viewer",
            handler=get_run,
            summary="One run",
            answer=JobRunShape,
            faults=(JobNotFound,),
        ),
        Route(
            method="POST",
            path=f"{_RUN}/cancel",
            access="operator",
            handler=cancel_run,
            summary="End an active run, which then fails",
            answer=JobRunShape,
            status=202,
            faults=(Forbidden, JobNotFound, RunFinished),
        ),
    )


def _log_routes(runs: JobRuns, *, clock: Clock) -> tuple[Route, ...]:
    async def read_log(ask: Ask) -> list[str | RunLineShape]:
        query: RunLogQuery = ask.query
        asked = query.resolve(clock.now(), after=None)
        lines = await runs.read_log(ask.caller, ask.path["job_id"], ask.path["run_id"], asked)
        return [render_kept(line, query.format) for line in lines]

    async def follow_log(ask: Ask) -> object:
        job_id, run_id = ask.path["job_id"], ask.path["run_id"]
        query: RunLogQuery = ask.query
        news = await runs.follow(ask.caller, job_id, run_id, query.resolve(clock.now(), after=read_last_id(ask)))

        async def admit(caller: Caller) -> None:
            await runs.admit_reader(caller, job_id, run_id)

        return await stream_log(ask, news, clock=clock, admit=admit, line_format=query.format)

    return (
        Route(
            method="GET",
            path=f"{_RUN}/logs",
            access="operator",
            handler=read_log,
            summary="The newest 10,000 lines of the run's log, or of those that are asked for, oldest first",
            query=RunLogQuery,
            answer=list[str | RunLineShape],
            faults=(Invalid, Forbidden, JobNotFound),
        ),
        Route(
            method="GET",
            path=f"{_RUN}/logs/stream",
            access="operator",
            handler=follow_log,
            summary="The run's log: each line with its number as id, then `done` with the status",
            query=RunLogQuery,
            stream="text/event-stream",
            faults=(Invalid, Forbidden, JobNotFound, TooManyStreams),
        ),
    )

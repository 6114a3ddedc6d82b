"""`moorage jobs`: what runs on a schedule or when asked, how it went and what it said."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import msgspec

from client.api import Api
from client.following import print_end, print_log
from client.logs import LogWords
from client.messages import Job, JobRun
from client.opening import open_api
from client.projects import find_project
from kit.faults import Invalid, NotFound


class NoSuchJob(NotFound):
    """No job of that name may be seen, or it has no run yet."""

    code = "no_such_job"


async def show_jobs(config: Path, project: str | None) -> None:
    """A line for each job of the project, or of all: project and name, schedule, next run, newest run, id."""
    async with open_api(config) as api:
        for name, job in await _list_jobs(api, project):
            runs = await api.list_job_runs(job.id, limit=1)
            schedule = "-" if job.schedule is None else f"{job.schedule} {job.timezone}"
            newest = f"{runs[0].status} {_moment(runs[0].created_at)}" if runs else "never run"
            print(f"{name}/{job.name}\t{schedule}\t{_moment(job.next_run_at)}\t{newest}\t{job.id}")


async def put_job(config: Path, project: str, file: Path) -> None:
    """Create the job that a JSON file says, or replace the project's one of that name."""
    try:
        body: dict[str, Any] = msgspec.json.decode(await asyncio.to_thread(file.read_bytes), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Invalid(f"cannot read {file}: it is no JSON object: {error}") from error
    async with open_api(config) as api:
        project_id = await find_project(api, project)
        known = [job.id for job in await api.list_jobs(project_id) if job.name == body.get("name")]
        if len(known) > 1:
            raise Invalid(f"cannot tell which job to replace: {len(known)} are called {body['name']!r}")
        job = await (api.replace_job(known[0], body) if known else api.create_job({**body, "project_id": project_id}))
        print(f"{job.name} is kept as {job.id}; next run: {_moment(job.next_run_at)}")


async def show_runs(config: Path, name: str, *, limit: int) -> None:
    """A line for each run, newest first: id, when it was made, status, attempt, exit code, reason."""
    async with open_api(config) as api:
        for run in await api.list_job_runs((await _find(api, name)).id, limit=limit):
            code = "-" if run.exit_code is None else run.exit_code
            print(f"{run.id}\t{_moment(run.created_at)}\t{run.status}\t{run.attempt}\t{code}\t{run.reason or ''}")


async def run_job(config: Path, name: str) -> bool:
    """Run the job now and follow until it has ended; False when it did not succeed."""
    async with open_api(config) as api:
        return await _follow(api, await api.run_job((await _find(api, name)).id), LogWords())


async def follow_run(config: Path, name: str, run_id: str | None, *, words: LogWords) -> bool:
    """Print the lines of a run, the newest unless told, and follow it; False when it did not succeed."""
    async with open_api(config) as api:
        return await _follow(api, await _find_run(api, await _find(api, name), run_id), words)


async def cancel_run(config: Path, name: str, run_id: str | None) -> None:
    """End a run, the newest unless told."""
    async with open_api(config) as api:
        run = await _find_run(api, await _find(api, name), run_id)
        await api.cancel_job_run(run.job_id, run.id)
        print(f"run {run.id} is being ended")


async def _follow(api: Api, run: JobRun, words: LogWords) -> bool:
    await print_log(api.follow_job_run(run.job_id, run.id, query=words.query()))
    ended = await api.get_job_run(run.job_id, run.id)
    print_end(ended)
    return ended.status == "succeeded"


async def _find(api: Api, name: str) -> Job:
    """The job with that name, as `name` or `project/name`, or with that id."""
    found = [job for project, job in await _list_jobs(api, None) if name in {job.id, job.name, f"{project}/{job.name}"}]
    if not found:
        raise NoSuchJob(f"cannot find the job {name}")
    if len(found) > 1:
        raise Invalid(f"cannot tell which job {name} is: give project/name, or one of {', '.join(j.id for j in found)}")
    return found[0]


async def _find_run(api: Api, job: Job, run_id: str | None) -> JobRun:
    if run_id is not None:
        return await api.get_job_run(job.id, run_id)
    runs = await api.list_job_runs(job.id, limit=1)
    if not runs:
        raise NoSuchJob(f"cannot find a run of {job.name}: it has never run")
    return runs[0]


async def _list_jobs(api: Api, project: str | None) -> list[tuple[str, Job]]:
    only = None if project is None else await find_project(api, project)
    projects = [one for one in await api.list_projects() if only in {None, one.id}]
    return [(one.name, job) for one in projects for job in await api.list_jobs(one.id)]


def _moment(at: dt.datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%SZ}"

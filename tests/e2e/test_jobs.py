"""Jobs on a real platform: on time, once, in time and told, also while both daemons are killed."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.api import Api
from client.messages import Job, JobRun
from tests.e2e.platform import Platform, docker
from tests.e2e.test_command import moorage
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


async def _put(api: Api, image: str, script: str, **changes: Any) -> Job:
    """A job that runs a shell script."""
    project = next(one for one in await api.list_projects() if one.name == "default")
    return await api.create_job(
        {
            "project_id": project.id,
            "name": "job",
            "source": {"type": "external_image", "image": image},
            "command": ["/bin/sh", "-c", script],
            "resource_limits": {"cpu_millis": 500, "memory_bytes": 64 * 1024 * 1024},
            **changes,
        }
    )


async def _until(api: Api, run: JobRun, *statuses: str, seconds: float = 90) -> JobRun:
    """The run once it has one of these statuses."""

    async def look() -> JobRun:
        return await api.get_job_run(run.job_id, run.id)

    return await eventually(look, met=lambda seen: seen.status in statuses, seconds=seconds)


async def _end(api: Api, run: JobRun) -> JobRun:
    return await _until(api, run, "succeeded", "failed", "skipped")


async def _log(api: Api, run: JobRun) -> list[str]:
    """The output of the run, in order."""
    lines = [
        event.data.split(" ", 2) async for event in api.follow_job_run(run.job_id, run.id) if event.event == "message"
    ]
    return [line[2] for line in lines if line[1] in {"STDOUT", "STDERR"}]


async def _containers(platform: Platform, job: Job) -> list[str]:
    """Containers of the job on the node, running or not."""
    listed = await asyncio.to_thread(
        docker,
        "ps",
        "-aq",
        "--filter",
        f"label=moorage.node={platform.node_id}",
        "--filter",
        f"label=moorage.job={job.id}",
    )
    return listed.split()


async def _await_no_container(platform: Platform, job: Job) -> None:
    async def is_gone() -> bool:
        return not await _containers(platform, job)

    await eventually(is_gone, seconds=20)


async def test_a_run_is_carried_out_told_and_cleared_away(platform: Platform, api: Api, busybox_image: str) -> None:
    script = 'echo "hello from $MOORAGE_JOB, $WHO"; echo trouble >&2; exit 7'
    job = await _put(api, busybox_image, script, name="told", env=[["WHO", "me"]])
    done = await _end(api, await api.run_job(job.id))
    assert (done.status, done.exit_code, done.attempt) == ("failed", 7, 1)
    assert done.reason == "it exited with code 7"
    assert done.started_at is not None
    assert done.finished_at is not None
    assert sorted(await _log(api, done)) == ["hello from told, me", "trouble"]
    await _await_no_container(platform, job)


@pytest.mark.parametrize("killed", [("controld",), ("agent",), ("controld", "agent")])
async def test_killed_daemons_neither_lose_nor_double_a_run(
    platform: Platform, api: Api, busybox_image: str, killed: tuple[str, ...]
) -> None:
    script = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; usleep 60000; done"
    job = await _put(api, busybox_image, script, name="kill-" + "-".join(killed), max_retries=3)
    run = await api.run_job(job.id)
    begun = await _until(api, run, "running")
    await asyncio.sleep(1)
    (container,) = await _containers(platform, job)
    pids = {program: await platform.kill(program) for program in killed}
    for program, pid in pids.items():
        await platform.await_back(program, pid)

    async def answers() -> bool:
        return await api.is_healthy()

    await eventually(answers, seconds=30)
    assert await _containers(platform, job) in ([container], [])
    done = await _end(api, run)
    assert (done.status, done.exit_code, done.attempt, done.reason) == ("succeeded", 0, 1, None)
    assert done.started_at == begun.started_at
    assert await _log(api, run) == [str(number) for number in range(1, 101)]
    await _await_no_container(platform, job)


@pytest.mark.parametrize("moment", ["pending", "running"])
async def test_daemons_killed_as_a_run_begins_start_it_once(
    platform: Platform, api: Api, busybox_image: str, moment: str
) -> None:
    job = await _put(api, busybox_image, "echo once; sleep 2", name=f"begin-{moment}")
    run = await api.run_job(job.id)
    if moment == "running":
        await _until(api, run, "running")
    pids = {program: await platform.kill(program) for program in ("controld", "agent")}
    for program, pid in pids.items():
        await platform.await_back(program, pid)

    async def answers() -> bool:
        return await api.is_healthy()

    await eventually(answers, seconds=30)
    done = await _end(api, run)
    assert (done.status, done.attempt) == ("succeeded", 1)
    assert await _log(api, run) == ["once"]


async def test_a_run_that_takes_too_long_is_ended_and_leaves_no_container(
    platform: Platform, api: Api, busybox_image: str
) -> None:
    script = "trap '' TERM; echo stubborn; while true; do sleep 100; done"
    job = await _put(api, busybox_image, script, name="late", timeout_seconds=3)
    done = await _end(api, await api.run_job(job.id))
    assert (done.status, done.exit_code) == ("failed", 137)
    assert done.reason == "it was ended: it ran longer than its timeout of 3 seconds"
    assert await _log(api, done) == ["stubborn"]
    await _await_no_container(platform, job)


async def test_a_run_that_passes_its_memory_limit_is_told_and_tried_again(api: Api, busybox_image: str) -> None:
    job = await _put(api, busybox_image, "tail -c 300000000 /dev/zero", name="greedy", max_retries=1)
    done = await _end(api, await api.run_job(job.id))
    assert (done.status, done.attempt) == ("failed", 2)
    assert "memory limit of 67108864 bytes" in (done.reason or "")


async def test_a_cancelled_run_ends_at_once(platform: Platform, api: Api, busybox_image: str) -> None:
    job = await _put(api, busybox_image, "sleep 600", name="cancelled", max_retries=5)
    run = await api.run_job(job.id)
    await _until(api, run, "running")
    await api.cancel_job_run(job.id, run.id)
    done = await _end(api, run)
    assert (done.status, done.attempt, done.reason) == ("failed", 1, "cancelled by admin")
    await _await_no_container(platform, job)


async def test_a_schedule_runs_on_time_and_says_when_a_run_was_left_out(api: Api, busybox_image: str) -> None:
    job = await _put(api, busybox_image, "sleep 3", name="ticking", schedule="*/2 * * * * *", keep_runs=3)
    try:

        async def has_both() -> bool:
            statuses = {run.status for run in await api.list_job_runs(job.id)}
            return statuses >= {"succeeded", "skipped"}

        await eventually(has_both, seconds=60)
        runs = await api.list_job_runs(job.id)
        due = [run.due_at for run in runs]
        assert len(set(due)) == len(due), "no moment is run twice"
        for run in runs:
            assert run.due_at is not None
            assert run.created_at - run.due_at < dt.timedelta(seconds=20)
        left_out = next(run for run in runs if run.status == "skipped")
        assert left_out.reason == "the run before it was still active"
    finally:
        await api.replace_job(
            job.id,
            {"name": "ticking", "source": {"type": "external_image", "image": busybox_image}, "command": ["/bin/true"]},
        )


async def test_an_image_that_nobody_has_fails_the_run_with_the_reason(api: Api) -> None:
    job = await _put(api, "registry.invalid/no/such:1", "true", name="no-image")
    done = await _end(api, await api.run_job(job.id))
    assert done.status == "failed"
    assert done.reason
    assert done.started_at is None


async def test_jobs_by_command(platform: Platform, api: Api, busybox_image: str, tmp_path: Path) -> None:
    config, file = tmp_path / "login.json", tmp_path / "job.json"
    logged_in = await moorage(config, "login", platform.api_url, "--with-token", given=f"{platform.token}\n")
    assert logged_in.returncode == 0, logged_in.stderr
    body = {
        "name": "by command",
        "source": {"type": "external_image", "image": busybox_image},
        "command": ["/bin/echo", "made by command"],
        "schedule": "0 4 * * *",
        "timezone": "Europe/Berlin",
    }
    file.write_bytes(msgspec.json.encode(body))
    assert "is kept as" in (await moorage(config, "jobs", "put", "default", str(file))).stdout
    ran = await moorage(config, "jobs", "run", "default/by command")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "STDOUT made by command" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "succeeded"
    file.write_bytes(msgspec.json.encode({**body, "command": ["/bin/sh", "-c", "exit 3"]}))
    await moorage(config, "jobs", "put", "default", str(file))
    failed = await moorage(config, "jobs", "run", "by command")
    assert failed.returncode == 1
    assert failed.stdout.splitlines()[-1] == "failed: it exited with code 3"
    runs = (await moorage(config, "jobs", "runs", "by command")).stdout.splitlines()
    assert [line.split("\t")[2] for line in runs] == ["failed", "succeeded"]
    again = await moorage(config, "jobs", "logs", "by command", runs[1].split("\t")[0])
    assert "made by command" in again.stdout
    listed = (await moorage(config, "jobs", "list")).stdout
    assert "default/by command\t0 4 * * * Europe/Berlin\t" in listed
    assert "cannot find the job nothing" in (await moorage(config, "jobs", "run", "nothing")).stderr

"""`/v1/jobs`: what is taken and refused, who sees what, and how runs and their logs are told."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from controld.model.job import RunStatus
from controld.model.role import Role
from controld.rules.redaction import REDACTED
from controld.store.job_run_logs import JobRunLogStore
from tests.controld.app import SETUP_SECRET, App, ask, bearer, service_body
from tests.controld.jobs import IMAGE_SOURCE, Ground, job_body, make_ground
from tests.fakes.agents import FakeLog
from wire.link import JobRunState

SETUP = bearer(SETUP_SECRET)
NOWHERE = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"
GIT = {
    "type": "git",
    "repo_url": "https://github.com/acme/tool",
    "git_ref": "main",
    "dockerfile_path": "Dockerfile",
    "context_path": ".",
    "credential": "default",
}


@pytest.fixture
async def ground(app: App) -> AsyncIterator[Ground]:
    made = await make_ground(app)
    yield made
    await made.tasks.close()


@pytest.fixture
async def http(app: App) -> AsyncIterator[ClientSession]:
    async with app.serve() as session:
        yield session


async def create(http: ClientSession, ground: Ground, **changes: Any) -> dict[str, Any]:
    status, job = await ask(http, "POST", "/v1/jobs", job_body(ground.project_id, **changes), headers=SETUP)
    assert status == 201, job
    made: dict[str, Any] = job
    return made


async def test_a_job_has_the_fields_of_the_contract_and_ours_beside(http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground, schedule="0 4 * * *", env=[["B", "1"], ["A", "2"], ["B", "3"]], command=["/bin/x"])
    assert job.pop("id")
    assert job == {
        "project_id": ground.project_id,
        "name": "nightly",
        "source": {**IMAGE_SOURCE, "credential": None, "registry_id": None, "image_ref": None},
        "command": ["/bin/x"],
        "env": [["B", "1"], ["A", "2"], ["B", "3"]],
        "schedule": "0 4 * * *",
        "max_retries": 0,
        "next_run_at": "2026-01-01T04:00:00Z",
        "last_enqueued_at": None,
        "created_at": "2026-01-01T00:00:00Z",
        "timezone": "UTC",
        "timeout_seconds": None,
        "resource_limits": None,
        "keep_runs": None,
        "keep_days": None,
    }


async def test_what_a_client_says_of_our_own_fields_is_passed_over(http: ClientSession, ground: Ground) -> None:
    job = await create(
        http, ground, id=NOWHERE, next_run_at="2030-01-01T00:00:00Z", created_at="x", command=[], env=None
    )
    assert job["id"] != NOWHERE
    assert (job["next_run_at"], job["created_at"], job["command"], job["env"]) == (
        None,
        "2026-01-01T00:00:00Z",
        None,
        [],
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "  "}, "name is blank"),
        ({"schedule": "whenever"}, "invalid cron schedule"),
        ({"schedule": ""}, "invalid cron schedule"),
        ({"schedule": "0 0 30 2 *"}, "no moment to come"),
        ({"schedule": "* * * * *", "timezone": "Moon/Base"}, "no time zone 'Moon/Base'"),
        ({"timezone": "../etc/passwd"}, "no time zone"),
        ({"source": {"type": "upload"}}, "an upload comes with a deployment"),
        ({"source": {"type": "external_image", "image": ""}}, "give either an image"),
        ({"source": {"type": "external_image", "image": "127.0.0.1:5000/x"}}, "registry host cannot be used"),
        ({"source": {**GIT, "dockerfile_path": "../x"}}, "dockerfile_path must be a relative path"),
        ({"env": [["LD_PRELOAD", "x"]]}, "steers the program loader"),
        ({"env": [["A", REDACTED]]}, "mark of a hidden value"),
        ({"command": [""]}, "the program, is empty"),
        ({"command": ["/x", "a\0b"]}, "holds a NUL"),
        ({"max_retries": -1}, "max_retries must be from 0"),
        ({"timeout_seconds": 0}, "timeout_seconds must be from 1"),
        ({"resource_limits": {"cpu_millis": 0, "memory_bytes": 1}}, "resource_limits.cpu_millis must be"),
        ({"keep_runs": 0}, "keep_runs must be from 1"),
        ({"keep_days": 0}, "keep_days must be from 1"),
    ],
)
async def test_what_could_not_be_run_is_refused_when_it_is_written(
    http: ClientSession, ground: Ground, changes: dict[str, Any], why: str
) -> None:
    status, fault = await ask(http, "POST", "/v1/jobs", job_body(ground.project_id, **changes), headers=SETUP)
    assert status == 400
    assert why in fault["error"]
    job = await create(http, ground)
    status, fault = await ask(http, "PUT", f"/v1/jobs/{job['id']}", {**job, **changes}, headers=SETUP)
    assert status == 400
    assert why in fault["error"]


async def test_a_registry_of_another_project_is_as_good_as_none(app: App, http: ClientSession, ground: Ground) -> None:
    other = await app.add_project("other")
    _, registry = await ask(
        http,
        "POST",
        f"/v1/projects/{other}/registries",
        {"name": "r", "endpoint": "registry.example.com", "auth_kind": "anonymous"},
        headers=SETUP,
    )
    source = {"type": "external_image", "image": "", "registry_id": registry["id"], "image_ref": "tool:1"}
    for project_id, expected in ((ground.project_id, 404), (other, 201)):
        status, told = await ask(http, "POST", "/v1/jobs", job_body(project_id, source=source), headers=SETUP)
        assert status == expected, told
    job = await create(http, ground)
    status, _ = await ask(http, "PUT", f"/v1/jobs/{job['id']}", {**job, "source": source}, headers=SETUP)
    assert status == 404
    status, fault = await ask(http, "DELETE", f"/v1/projects/{other}/registries/{registry['id']}", headers=SETUP)
    assert (status, fault["code"]) == (409, "in_use")


async def test_jobs_are_listed_by_name_within_a_project(http: ClientSession, ground: Ground) -> None:
    for name in ("b", "a", "a"):
        await create(http, ground, name=name)
    status, jobs = await ask(http, "GET", f"/v1/jobs?project_id={ground.project_id}", headers=SETUP)
    assert (status, [job["name"] for job in jobs]) == (200, ["a", "a", "b"])
    for query, expected in (("", 400), ("?project_id=x", 400), (f"?project_id={NOWHERE}", 404)):
        assert (await ask(http, "GET", f"/v1/jobs{query}", headers=SETUP))[0] == expected


async def test_a_viewer_sees_no_values_and_no_logs(app: App, http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground, env=[["K", "secret"]])
    run = await ground.run(await ground.parts.jobs.get(await _setup(app), job["id"]))
    viewer = bearer(await app.token_of("vera", project_id=ground.project_id, role=Role.VIEWER))
    path = f"/v1/jobs/{job['id']}"
    _, (listed,) = await ask(http, "GET", f"/v1/jobs?project_id={ground.project_id}", headers=viewer)
    _, got = await ask(http, "GET", path, headers=viewer)
    assert listed["env"] == got["env"] == [["K", REDACTED]]
    assert (await ask(http, "GET", f"{path}/runs/{run.id}", headers=viewer))[0] == 200
    assert (await ask(http, "GET", f"{path}/runs/{run.id}/logs", headers=viewer))[0] == 403
    assert (await ask(http, "PUT", path, job, headers=viewer))[0] == 403


async def _setup(app: App) -> Any:
    return await app.identities.recognise(SETUP_SECRET, address="192.0.2.1")


async def test_a_run_is_asked_for_looked_at_and_cancelled(http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground)
    path = f"/v1/jobs/{job['id']}"
    status, run = await ask(http, "POST", f"{path}/run", headers=SETUP)
    assert (status, run["status"], run["attempt"], run["trigger"]) == (202, "pending", 1, "manual")
    assert (run["exit_code"], run["started_at"], run["finished_at"], run["due_at"]) == (None, None, None, None)
    status, fault = await ask(http, "POST", f"{path}/run", headers=SETUP)
    assert (status, fault["error"]) == (409, "job already has an active run")
    assert (await ask(http, "DELETE", path, headers=SETUP))[0] == 409
    _, now = await ask(http, "GET", path, headers=SETUP)
    assert now["last_enqueued_at"] == run["created_at"]
    status, asked = await ask(http, "POST", f"{path}/runs/{run['id']}/cancel", headers=SETUP)
    assert (status, asked["status"]) == (202, "pending")
    ground.start()
    await ground.until(await _run_of(ground, job), lambda seen: seen.status is RunStatus.FAILED)
    _, done = await ask(http, "GET", f"{path}/runs/{run['id']}", headers=SETUP)
    assert (done["status"], done["reason"]) == ("failed", "cancelled by the holder of the setup secret")
    assert (await ask(http, "POST", f"{path}/runs/{run['id']}/cancel", headers=SETUP))[0] == 409
    assert await ask(http, "DELETE", path, headers=SETUP) == (200, {"deleted": True})
    for gone in (path, f"{path}/runs", f"{path}/runs/{run['id']}"):
        assert (await ask(http, "GET", gone, headers=SETUP))[0] == 404


async def _run_of(ground: Ground, job: dict[str, Any]) -> Any:
    (run,) = await ground.runs(await ground.parts.jobs.get(await _setup(ground.app), job["id"]))
    return run


async def test_a_run_of_another_job_is_not_found_under_this_one(http: ClientSession, ground: Ground) -> None:
    one, other = await create(http, ground), await create(http, ground)
    _, run = await ask(http, "POST", f"/v1/jobs/{other['id']}/run", headers=SETUP)
    for tail in ("", "/logs", "/logs/stream"):
        assert (await ask(http, "GET", f"/v1/jobs/{one['id']}/runs/{run['id']}{tail}", headers=SETUP))[0] == 404
    assert (await ask(http, "POST", f"/v1/jobs/{one['id']}/runs/{run['id']}/cancel", headers=SETUP))[0] == 404


async def test_runs_come_in_pages_newest_first(app: App, http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground, schedule="* * * * *")
    for _ in range(5):
        await app.clock.advance(60)
        await ground.tick()
    path: str | None = f"/v1/jobs/{job['id']}/runs?limit=2"
    seen = []
    while path is not None:
        async with http.get(path, headers=SETUP) as answer:
            seen += await answer.json()
            path = str(answer.links["next"]["url"]) if "next" in answer.links else None
    assert [run["status"] for run in seen] == ["skipped"] * 4 + ["pending"]
    assert [run["due_at"] for run in seen] == [f"2026-01-01T00:0{minute}:00Z" for minute in (5, 4, 3, 2, 1)]
    assert seen[0]["reason"] == "the run before it was still active"


async def test_the_log_is_followed_from_any_line_to_the_end(app: App, http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground)
    _, told = await ask(http, "POST", f"/v1/jobs/{job['id']}/run", headers=SETUP)
    run = await _run_of(ground, job)
    path = f"/v1/jobs/{job['id']}/runs/{told['id']}/logs"
    log = app.agents.logs[ground.nodes[0]] = FakeLog()
    ground.start()
    async with http.get(f"{path}/stream", headers=SETUP) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        await ground.begin(run)
        log.write("hello", at=app.clock.now())
        await ground.end(run, 0)
        await ground.until_status(run, RunStatus.SUCCEEDED)
        async with asyncio.timeout(10):
            whole = await stream.text()
    events = [event for event in whole.split("\n\n") if event and not event.startswith(":")]
    assert [event.partition("\n")[0] for event in events] == ["id: 1", "id: 2", "id: 3", "id: 4", "event: done"]
    assert events[2].endswith("STDOUT hello")
    assert events[-1] == 'event: done\ndata: {"status":"succeeded"}'
    async with http.get(f"{path}/stream", headers={**SETUP, "Last-Event-ID": "3"}) as again:
        rest = await again.text()
    assert [line for line in rest.splitlines() if line.startswith("id:")] == ["id: 4"]
    status, lines = await ask(http, "GET", path, headers=SETUP)
    assert (status, len(lines)) == (200, 4)
    assert lines[2].endswith("Z STDOUT hello")


async def test_a_project_with_jobs_is_not_deleted(http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground)
    path = f"/v1/projects/{ground.project_id}"
    status, fault = await ask(http, "DELETE", path, headers=SETUP)
    assert (status, fault["error"]) == (409, "cannot delete project with existing jobs")
    await ask(http, "DELETE", f"/v1/jobs/{job['id']}", headers=SETUP)
    assert (await ask(http, "DELETE", path, headers=SETUP))[0] == 200


async def test_every_change_is_audited_without_values(app: App, http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground, env=[["K", "hunter2"]])
    path = f"/v1/jobs/{job['id']}"
    await ask(http, "PUT", path, job, headers=SETUP)
    _, run = await ask(http, "POST", f"{path}/run", headers=SETUP)
    await ask(http, "POST", f"{path}/runs/{run['id']}/cancel", headers=SETUP)
    ground.start()
    await ground.until_status(await _run_of(ground, job), RunStatus.FAILED)
    await ask(http, "DELETE", path, headers=SETUP)
    _, trail = await ask(http, "GET", f"/v1/audit?project_id={ground.project_id}", headers=SETUP)
    assert [entry["action"] for entry in reversed(trail) if entry["object_kind"] == "job"] == [
        "job.create",
        "job.update",
        "job.run",
        "job.cancel",
        "job.delete",
    ]
    assert "hunter2" not in str(trail)


async def test_a_service_of_the_project_is_no_job(http: ClientSession, ground: Ground) -> None:
    _, service = await ask(http, "POST", "/v1/services", service_body(ground.project_id), headers=SETUP)
    assert (await ask(http, "GET", f"/v1/jobs/{service['id']}", headers=SETUP))[0] == 404


async def test_an_exit_code_and_a_kill_for_memory_are_told(http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground)
    await ask(http, "POST", f"/v1/jobs/{job['id']}/run", headers=SETUP)
    run = await _run_of(ground, job)
    ground.start()
    await ground.begin(run)
    await ground.report(run, JobRunState.ENDED, exit_code=137, oom_killed=True, reason="it passed its memory limit")
    await ground.until_status(run, RunStatus.FAILED)
    _, (told,) = await ask(http, "GET", f"/v1/jobs/{job['id']}/runs", headers=SETUP)
    assert (told["exit_code"], told["oom_killed"], told["reason"]) == (137, True, "it passed its memory limit")


async def test_lines_of_a_run_are_found_by_moment_and_text(app: App, http: ClientSession, ground: Ground) -> None:
    job = await create(http, ground)
    _, told = await ask(http, "POST", f"/v1/jobs/{job['id']}/run", headers=SETUP)
    run = await _run_of(ground, job)
    path = f"/v1/jobs/{job['id']}/runs/{told['id']}/logs"
    begun = app.clock.now()
    async with app.database.write() as tx:
        lines = [
            (begun + dt.timedelta(seconds=n), "STDOUT", f"{'ERROR' if n % 3 == 0 else 'info'} {n}") for n in range(3000)
        ]
        await JobRunLogStore().append_lines(tx, run.id, lines=lines)

    async def found(query: str) -> list[str]:
        status, lines = await ask(http, "GET", f"{path}?{query}", headers=SETUP)
        assert status == 200, lines
        return [line.partition(" STDOUT ")[2] for line in lines]

    async def events(query: str, last: str | None = None) -> list[str]:
        headers = SETUP if last is None else {**SETUP, "Last-Event-ID": last}
        async with http.get(f"{path}/stream?{query}", headers=headers) as stream:
            return [event for event in (await stream.text()).split("\n\n") if event.startswith("id:")]

    def moment(second: int) -> str:
        return f"{begun + dt.timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}"

    last = [f"ERROR {n}" for n in range(2985, 3000, 3)]
    assert await found("grep=ERROR&tail=5") == last
    assert await found("grep=error&tail=5") == []
    assert await found("grep_regex=^error&ignore_case=true&tail=5") == last
    assert await found(f"since={moment(10)}&until={moment(12)}") == ["info 10", "info 11"]
    assert await found("tail=2") == ["info 2998", "info 2999"]
    assert await found("since=2999") == ["info 2999"]
    _, (told_line,) = await ask(http, "GET", f"{path}?tail=1&format=json", headers=SETUP)
    assert told_line == {"id": 3000, "recorded_at": moment(2999), "phase": "STDOUT", "text": "info 2999"}
    for bad in ("since=soon", "tail=-1", "grep_regex=(", "format=xml", "until=x"):
        for rest in ("", "/stream"):
            assert (await ask(http, "GET", f"{path}{rest}?{bad}", headers=SETUP))[0] == 400
    await ask(http, "POST", f"/v1/jobs/{job['id']}/runs/{told['id']}/cancel", headers=SETUP)
    ground.start()
    await ground.until_status(run, RunStatus.FAILED)
    stream = await events("grep=ERROR&tail=4")
    assert [event.partition(" STDOUT ")[2] for event in stream] == last[-4:]
    for query in ("grep=ERROR", "grep=ERROR&since=1s", "grep=ERROR&tail=1"):
        assert await events(query, stream[0].split("\n")[0][4:]) == stream[1:]

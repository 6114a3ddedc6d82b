"""From a repository to a running service, with real hosts of repositories, whatever is killed on the way."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from client.api import Api
from client.messages import Deployment, Service
from tests.e2e.platform import Platform, await_end, docker, git_authorities, host_of, put_service, write_site
from tests.git_hosts import LOGIN, HttpsHost, Repository, SshHost
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


async def _make_site(folder: Path, text: str, *, command: str | None = None) -> Repository:
    """A repository whose folder `app` is a site."""
    repository = await asyncio.to_thread(Repository.make, folder)
    await _change_site(repository, text, command=command)
    return repository


async def _change_site(repository: Repository, text: str, *, command: str | None = None) -> str:
    def change() -> str:
        site = repository.folder / "app"
        if site.exists():
            (site / "www" / "index.html").write_text(text)
        else:
            write_site(site, text, command=command)
        return repository.commit({})

    return await asyncio.to_thread(change)


def _source(name: str, url: str) -> dict[str, Any]:
    return {
        "type": "git",
        "repo_url": url,
        "git_ref": "main",
        "dockerfile_path": "app/Dockerfile",
        "context_path": "app",
        "credential": name,
    }


async def _put(api: Api, name: str, url: str, **changes: Any) -> Service:
    return await put_service(api, name, source=_source(name, url) | changes)


async def _deploy(api: Api, service: Service, *, ref: str = "") -> Deployment:
    return await api.deploy({"source": "git", "service_id": service.id, "repo_url": "", "git_ref": ref})


async def _get(platform: Platform, host: str) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(platform.ingress_url + "/", headers={"Host": host}) as answer,
    ):
        return await answer.text()


async def _log(api: Api, deployment: Deployment) -> list[str]:
    return [event.data async for event in api.follow_deployment(deployment.id)]


async def _project(api: Api) -> str:
    return next(one.id for one in await api.list_projects() if one.name == "default")


def _cloning(platform: Platform, host: HttpsHost) -> list[str]:
    """Commands of programs that speak to the host, or hold its credential, and contexts on the disk."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder.name.isdigit() and (f"127.0.0.1:{host.port}/" in command or f"{platform.places.run}/git" in command):
            found.append(command)
    contexts = platform.places.agent / "contexts"
    return found + ([str(path) for path in contexts.iterdir()] if contexts.exists() else [])


async def _await_quiet(platform: Platform, host: HttpsHost) -> None:
    async def is_quiet() -> bool:
        return not await asyncio.to_thread(_cloning, platform, host)

    await eventually(is_quiet, seconds=10)


@pytest.fixture
async def trusted_host(platform: Platform, https_host: HttpsHost) -> HttpsHost:
    """A host whose certificate the platform trusts."""
    path = git_authorities(platform.places.state)
    await asyncio.to_thread(path.write_text, https_host.authorities_pem)
    return https_host


async def _begin_held(api: Api, host: HttpsHost, tmp_path: Path, name: str) -> Deployment:
    """A deployment whose clone waits for the host's pack."""
    await _make_site(tmp_path / "hosted" / "private" / name, f"this is {name}")
    await api.add_git_credential(await _project(api), {"name": name, "username": LOGIN[0], "password": LOGIN[1]})
    host.hold.clear()
    deployment = await _deploy(api, await _put(api, name, host.url(f"private/{name}/.git")))

    async def is_held() -> bool:
        return any("git-upload-pack Basic" in each for each in host.asked)

    await eventually(is_held, seconds=30)
    return deployment


async def test_a_private_repository_over_https_is_built_with_its_submodule_and_rolled_back(
    platform: Platform, api: Api, tmp_path: Path, trusted_host: HttpsHost
) -> None:
    hosted = tmp_path / "hosted" / "private"
    pages = await asyncio.to_thread(Repository.make, hosted / "pages")
    pinned = await asyncio.to_thread(pages.commit, {"about.html": "a submodule's page"})
    repository = await _make_site(hosted / "site", "first")
    first = await asyncio.to_thread(repository.add_submodule, "app/www/pages", "../../pages/.git", commit=pinned)
    await api.add_git_credential(await _project(api), {"name": "site", "username": LOGIN[0], "password": LOGIN[1]})
    service = await _put(api, "site", trusted_host.url("private/site/.git"))
    deployment = await _deploy(api, service)
    ended = await await_end(api, deployment.id)
    assert ended.status == "Healthy", ended.reason
    assert ended.artifact is not None
    assert ended.artifact.source["commit"] == first
    log = "\n".join(await _log(api, deployment))
    assert f"main is commit {first}" in log
    assert "cloning submodule app/www/pages" in log
    assert LOGIN[1] not in log
    host = await host_of(api, service)
    assert await _get(platform, host) == "first"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{platform.ingress_url}/pages/about.html", headers={"Host": host}) as answer,
    ):
        assert await answer.text() == "a submodule's page"

    second = await _change_site(repository, "second")
    assert (await await_end(api, (await _deploy(api, service, ref=second[:10])).id)).status == "Healthy"
    assert await _get(platform, host) == "second"
    chosen = {"source": "redeploy", "service_id": service.id, "artifact_id": ended.artifact.id}
    back = await await_end(api, (await api.deploy(chosen)).id)
    assert back.status == "Healthy", back.reason
    assert await _get(platform, host) == "first"
    assert _cloning(platform, trusted_host) == []


async def test_a_job_is_built_from_what_its_repository_holds_when_it_runs(
    platform: Platform, api: Api, tmp_path: Path, trusted_host: HttpsHost
) -> None:
    repository = await _make_site(tmp_path / "hosted" / "private" / "job", "first")
    await api.add_git_credential(await _project(api), {"name": "job", "username": LOGIN[0], "password": LOGIN[1]})
    job = await api.create_job(
        {
            "project_id": await _project(api),
            "name": "from git",
            "source": _source("job", trusted_host.url("private/job/.git")),
            "command": ["/bin/busybox", "cat", "/www/index.html"],
        }
    )
    for text in ("first", "second"):
        commit = await _change_site(repository, text)
        run = await api.run_job(job.id)
        log = [event.data async for event in api.follow_job_run(job.id, run.id)]
        assert (await api.get_job_run(job.id, run.id)).status == "succeeded", log
        assert any(line.endswith(f"STDOUT {text}") for line in log)
        assert any(f"main is commit {commit}" in line for line in log)
        assert LOGIN[1] not in "".join(log)
    assert _cloning(platform, trusted_host) == []


async def test_a_key_that_was_made_here_opens_a_repository_over_ssh_once_its_host_knows_it(
    platform: Platform, api: Api, tmp_path: Path, ssh_host: SshHost
) -> None:
    repository = await _make_site(tmp_path / "hosted" / "overssh", "over ssh")
    service = await _put(api, "overssh", ssh_host.url(repository.folder))
    project = await _project(api)

    async def fail() -> str:
        ended = await await_end(api, (await _deploy(api, service)).id)
        assert ended.status == "Failed"
        return ended.reason or ""

    assert "no deploy key named 'overssh'" in await fail()
    await api.add_git_credential(project, {"name": "overssh"})
    assert "the host key of [127.0.0.1]" in await fail()
    await api.delete_git_credential(project, "overssh")
    made = await api.add_git_credential(project, {"name": "overssh", "known_hosts": ssh_host.known_hosts})
    assert "refuses the credential" in await fail()
    assert made.public_key is not None
    await asyncio.to_thread(ssh_host.authorize, made.public_key)
    ended = await await_end(api, (await _deploy(api, service)).id)
    assert ended.status == "Healthy", ended.reason
    assert await _get(platform, await host_of(api, service)) == "over ssh"
    assert "no branch, tag or commit 'nowhere'" in (
        (await await_end(api, (await _deploy(api, service, ref="nowhere")).id)).reason or ""
    )


async def test_the_log_is_followed_while_it_clones_and_resumed_without_loss_or_repeat(
    api: Api, tmp_path: Path, trusted_host: HttpsHost
) -> None:
    deployment = await _begin_held(api, trusted_host, tmp_path, "followed")
    seen: list[tuple[str, str]] = []
    async with asyncio.timeout(60):
        async for event in api.follow_deployment(deployment.id):
            seen.append((event.id or "", event.data))
            if "cloning " in event.data:
                break
    assert (await api.get_deployment(deployment.id)).status == "Building"
    trusted_host.hold.set()
    while seen[-1][0]:
        count = 0
        async for event in api.follow_deployment(deployment.id, after=seen[-1][0]):
            seen.append(("" if event.event == "done" else event.id or "", event.data))
            count += 1
            if count == 3:
                break
    whole = [(event.id or "", event.data) async for event in api.follow_deployment(deployment.id)]
    assert seen[:-1] == whole[:-1]
    assert seen[-1][1] == '{"status":"Healthy"}'
    assert [int(number) for number, _ in seen[:-1]] == list(range(1, len(seen)))


async def test_a_clone_that_is_cancelled_ends_at_once_and_leaves_nothing(
    platform: Platform, api: Api, tmp_path: Path, trusted_host: HttpsHost
) -> None:
    deployment = await _begin_held(api, trusted_host, tmp_path, "cancelled")
    running = await asyncio.to_thread(_cloning, platform, trusted_host)
    assert any("fetch" in each for each in running)
    assert LOGIN[1] not in "\n".join(running)
    await api.cancel_deployment(deployment.id)
    ended = await await_end(api, deployment.id, seconds=10)
    assert (ended.status, ended.reason) == ("Failed", "cancelled by admin")
    await _await_quiet(platform, trusted_host)


@pytest.mark.parametrize("killed", ["agent", "controld"])
async def test_a_clone_goes_on_or_begins_anew_when_a_daemon_is_killed(
    platform: Platform, api: Api, tmp_path: Path, trusted_host: HttpsHost, killed: str
) -> None:
    deployment = await _begin_held(api, trusted_host, tmp_path, f"killed-{killed}")
    pid = await platform.kill(killed)
    if killed == "agent":
        # Before another agent cleans up: the kernel has ended what the killed one had started.
        async def is_gone() -> bool:
            found = await asyncio.to_thread(_cloning, platform, trusted_host)
            return not [each for each in found if "fetch" in each or "credential-cache" in each]

        await eventually(is_gone, seconds=5)
    await platform.await_back(killed, pid)
    trusted_host.hold.set()
    async with platform.api() as fresh:

        async def has_ended() -> bool:
            try:
                return (await fresh.get_deployment(deployment.id)).status == "Healthy"
            except Exception:  # noqa: BLE001 - the daemon is on its way back
                return False

        await eventually(has_ended, seconds=90)
    await _await_quiet(platform, trusted_host)


@pytest.mark.parametrize("phase", ["Pending", "Building", "Starting"])
async def test_a_deployment_is_cancelled_in_every_phase(
    platform: Platform, api: Api, tmp_path: Path, trusted_host: HttpsHost, phase: str
) -> None:
    name = f"cancel-{phase.lower()}"
    hosted = tmp_path / "hosted" / name
    repository = await _make_site(hosted, "x", command='["/bin/busybox", "sleep", "600"]')
    mark = f"59{len(phase)}.5"
    if phase == "Building":
        text = (hosted / "app" / "Dockerfile").read_text()
        slow = f'RUN ["/bin/busybox", "sleep", "{mark}"]\nCMD'
        await asyncio.to_thread(repository.commit, {"app/Dockerfile": text.replace("CMD", slow)})
    service = await _put(api, name, trusted_host.url(f"{name}/.git"), credential="none")
    if phase == "Pending":
        trusted_host.hold.clear()
    first = await _deploy(api, service)
    deployment = await _deploy(api, service) if phase == "Pending" else first

    async def is_there() -> bool:
        if phase == "Building":
            return bool(await asyncio.to_thread(_containers, mark))
        return (await api.get_deployment(deployment.id)).status == phase

    await eventually(is_there, seconds=60)
    await api.cancel_deployment(deployment.id)
    ended = await await_end(api, deployment.id, seconds=10)
    assert (ended.status, ended.reason) == ("Failed", "cancelled by admin")
    if deployment is not first:
        assert (await api.get_deployment(first.id)).status == "Building"
        await api.cancel_deployment(first.id)
    await _await_quiet(platform, trusted_host)

    async def is_clean() -> bool:
        left = await asyncio.to_thread(_containers, mark)
        return not left and not await platform.containers(service_id=service.id)

    await eventually(is_clean, seconds=30)


def _containers(mark: str) -> list[str]:
    return [line for line in docker("ps", "-a", "--no-trunc", "--format", "{{.Command}}").splitlines() if mark in line]


async def test_a_build_from_git_runs_under_the_limits_of_builds(
    api: Api, tmp_path: Path, trusted_host: HttpsHost
) -> None:
    repository = await _make_site(tmp_path / "hosted" / "limited", "x")
    dockerfile = repository.folder / "app" / "Dockerfile"
    shown = (
        'RUN ["/bin/sh", "-c", "cd /sys/fs/cgroup; /bin/busybox cat memory/memory.limit_in_bytes '
        'memory.max cpu/cpu.cfs_quota_us cpu.max 2>/dev/null; true"]\nCMD'
    )
    await asyncio.to_thread(repository.commit, {"app/Dockerfile": dockerfile.read_text().replace("CMD", shown)})
    service = await _put(api, "limited", trusted_host.url("limited/.git"), credential="none")
    deployment = await _deploy(api, service)
    assert (await await_end(api, deployment.id)).status == "Healthy"
    log = "\n".join(await _log(api, deployment))
    assert re.search(rf"\b{2 * 1024**3}$", log, re.MULTILINE), log
    assert re.search(r"\b200000( 100000)?$", log, re.MULTILINE), log

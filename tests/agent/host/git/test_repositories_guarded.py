"""A clone reaches nothing that it should not, keeps to its limits, tells no secret and leaves nothing running."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.core import faults
from agent.host.git.hosts import find_addresses
from kit.git_url import GitUrl, GitUrlRefused, parse_git_url
from tests.agent.host.git.clones import Clones, hosted
from tests.git_hosts import LOGIN, HttpsHost, SshHost
from tests.waiting import eventually
from wire.agent.builds import CloneAsked, DeployKey, HttpsLogin


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/app/.git", "ssh://git@127.0.0.1:{port}/x", "root@127.1:x"])
async def test_nothing_inside_is_spoken_to_unless_that_is_allowed(
    tmp_path: Path, https_host: HttpsHost, clones: Clones, url: str
) -> None:
    hosted(tmp_path).commit({"a": "1"})
    with pytest.raises(faults.GitHostRefused, match="allow_private_git_hosts"):
        await clones.clone(
            url.format(port=https_host.port), authorities_pem=https_host.authorities_pem, allow_private_hosts=False
        )
    assert https_host.asked == []


@pytest.mark.parametrize(
    "url", ["file:///etc", "/etc", "../../other", "ext::sh -c touch% /tmp/x", "-oProxyCommand=x:y"]
)
async def test_a_submodule_from_this_machine_or_by_a_program_is_refused(
    tmp_path: Path, https_host: HttpsHost, clones: Clones, url: str
) -> None:
    repository = hosted(tmp_path)
    commit = repository.commit({"a": "1"})
    repository.add_submodule("lib", url, commit=commit)
    with pytest.raises((GitUrlRefused, faults.RepositoryNotFound)):
        await clones.clone(https_host.url("app/.git"), authorities_pem=https_host.authorities_pem)
    assert not [path for path in (clones.root / "lib").iterdir() if path.name != ".git"]


async def test_hooks_filters_and_links_of_a_hostile_repository_do_nothing(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    touched = tmp_path / "touched"
    repository = hosted(tmp_path)
    repository.commit(
        {
            ".gitattributes": "* filter=evil\n*.bin filter=lfs diff=lfs merge=lfs -text\n",
            ".gitconfig": f'[filter "evil"]\n\tsmudge = touch {touched}\n',
            "x.bin": "version https://git-lfs.github.com/spec/v1\n",
            "hooks/post-checkout": f"#!/bin/sh\ntouch {touched}\n",
            "link": "->/etc/passwd",
            "folder": "->/etc",
        }
    )
    hook = repository.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {touched}\n")
    hook.chmod(0o755)
    await clones.clone(https_host.url("app/.git"), authorities_pem=https_host.authorities_pem)
    assert not touched.exists()
    assert clones.files()["link"] == "->/etc/passwd"
    assert any("LFS" in line for line in clones.lines)


async def test_modes_are_those_of_the_commit_whatever_the_mask(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    repository = hosted(tmp_path)
    (repository.folder / "run").touch(mode=0o755)
    repository.commit({"a/b": "1"})
    before = os.umask(0o077)
    try:
        await clones.clone(https_host.url("app/.git"), authorities_pem=https_host.authorities_pem)
    finally:
        os.umask(before)
    modes = {name: (clones.root / name).stat().st_mode & 0o777 for name in ("run", "a/b", "a", ".")}
    assert modes == {"run": 0o755, "a/b": 0o644, "a": 0o755, ".": 0o755}


@pytest.mark.parametrize("limit", [{"uncompressed_bytes": 200_000}, {"entries": 20}, {"depth": 3}])
async def test_a_repository_past_the_limits_is_refused_before_its_files_are_written(
    tmp_path: Path, https_host: HttpsHost, tmp_path_factory: pytest.TempPathFactory, limit: dict[str, int]
) -> None:
    # Zeros: a few hundred bytes on their way, half a megabyte on the disk.
    hosted(tmp_path).commit({"zeros": "0" * 500_000, "a/b/c/d": "", **{f"{number}": "" for number in range(30)}})
    clones = Clones(tmp_path_factory.mktemp("c"), **limit)
    with pytest.raises(faults.RepositoryTooLarge):
        await clones.clone(https_host.url("app/.git"), authorities_pem=https_host.authorities_pem)
    assert [path.name for path in clones.root.iterdir()] == [".git"]


async def test_a_pack_past_the_limit_is_cut_while_it_arrives(
    tmp_path: Path, https_host: HttpsHost, tmp_path_factory: pytest.TempPathFactory
) -> None:
    repository = hosted(tmp_path)
    (repository.folder / "noise").write_bytes(os.urandom(3_000_000))
    repository.commit({})
    clones = Clones(tmp_path_factory.mktemp("c"), uncompressed_bytes=1_000_000)
    with pytest.raises(faults.RepositoryTooLarge):
        await clones.clone(https_host.url("app/.git"), authorities_pem=https_host.authorities_pem)


async def _is_held(host: HttpsHost) -> bool:
    return any("git-upload-pack" in each and "Basic" in each for each in host.asked)


async def _processes() -> list[str]:
    return await asyncio.to_thread(_read_commands)


def _read_commands() -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return found


async def test_a_cancelled_clone_leaves_no_process_and_no_socket(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    hosted(tmp_path, "private/app").commit({"a": "1"})
    https_host.hold.clear()
    login = HttpsLogin(username=LOGIN[0], password=LOGIN[1])
    cloning = asyncio.create_task(
        clones.clone(https_host.url("private/app/.git"), authorities_pem=https_host.authorities_pem, credential=login)
    )
    await eventually(lambda: _is_held(https_host))
    running = [each for each in await _processes() if str(clones.folder) in each or f":{https_host.port}" in each]
    assert running
    assert LOGIN[1] not in " ".join(await _processes())
    cloning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cloning
    left = [each for each in await _processes() if str(clones.folder) in each or f":{https_host.port}" in each]
    assert left == []


async def test_no_secret_is_in_an_environment_an_argument_or_a_file_while_a_clone_runs(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    hosted(tmp_path, "private/app").commit({"a": "1"})
    https_host.hold.clear()
    login = HttpsLogin(username=LOGIN[0], password=LOGIN[1])
    cloning = asyncio.create_task(
        clones.clone(https_host.url("private/app/.git"), authorities_pem=https_host.authorities_pem, credential=login)
    )
    await eventually(lambda: _is_held(https_host))
    seen = await asyncio.to_thread(_read_environments, clones.folder)
    assert LOGIN[1].encode() not in seen
    https_host.hold.set()
    await cloning


def _read_environments(folder: Path) -> bytes:
    pieces = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and process.name != str(os.getpid()):
            for name in ("environ", "cmdline"):
                try:
                    pieces.append((process / name).read_bytes())
                except OSError:
                    continue
    return b"\n".join(pieces)


async def test_a_clone_that_takes_too_long_is_ended(tmp_path: Path, https_host: HttpsHost, clones: Clones) -> None:
    hosted(tmp_path).commit({"a": "1"})
    https_host.hold.clear()
    with pytest.raises(faults.CloneFailed, match="did not end within 1 seconds"):
        await clones.clone(https_host.url("app/.git"), authorities_pem=https_host.authorities_pem, timeout_seconds=1.0)


def test_what_opens_a_repository_is_not_in_the_words_of_an_ask() -> None:
    for credential in (DeployKey(private_key="PRIVATE"), HttpsLogin(username="u", password="PRIVATE")):
        asked = CloneAsked(repo_url="https://h/a", ref="HEAD", timeout_seconds=1, credential=credential)
        assert "PRIVATE" not in repr(asked)
        assert msgspec.json.decode(msgspec.json.encode(asked), type=CloneAsked) == asked


@pytest.mark.parametrize("scheme", ["https", "ssh"])
async def test_a_host_is_dialled_at_the_address_that_was_looked_at(
    tmp_path: Path,
    https_host: HttpsHost,
    ssh_host: SshHost,
    clones: Clones,
    monkeypatch: pytest.MonkeyPatch,
    *,
    scheme: str,
) -> None:
    repository = hosted(tmp_path)
    commit = repository.commit({"a": "1"})

    async def find(url: GitUrl, *, allow_private: bool) -> tuple[str, ...]:
        assert url.host == "git.example"
        return ("127.0.0.1",)

    monkeypatch.setattr("agent.host.git.repositories.find_addresses", find)
    url = https_host.url("app/.git") if scheme == "https" else ssh_host.url(repository.folder)
    got = await clones.clone(
        url.replace("127.0.0.1", "git.example"),
        authorities_pem=https_host.authorities_pem,
        credential=DeployKey(private_key=ssh_host.client.private_key),
        known_hosts=ssh_host.known_hosts.replace("127.0.0.1", "git.example"),
    )
    assert got == commit


async def test_a_name_is_looked_up_and_refused_when_it_leads_inside_or_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {"inside.example": ["192.0.2.7", "10.0.0.1"], "outside.example": ["8.8.8.8", "8.8.8.8"]}

    async def look_up(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        if host not in answers:
            raise OSError(-2, "Name or service not known")
        return [(2, 1, 6, "", (address, port)) for address in answers[host]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    assert await find_addresses(parse_git_url("https://outside.example/a"), allow_private=False) == ("8.8.8.8",)
    for url in ("https://inside.example/a", "git@inside.example:a", "https://nowhere.example/a"):
        with pytest.raises(faults.GitHostRefused):
            await find_addresses(parse_git_url(url), allow_private=False)

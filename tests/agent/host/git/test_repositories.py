"""Repositories are cloned from real hosts as they are, and whatever goes wrong says what it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.core import faults
from kit.faults import Fault
from kit.files import remove_tree
from kit.ssh_keys import make_key
from tests.agent.host.git.clones import Clones, hosted
from tests.git_hosts import LOGIN, HttpsHost, SshHost, git
from wire.agent.builds import DeployKey, HttpsLogin


async def test_the_default_branch_is_cloned_over_https_without_history(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    repository = hosted(tmp_path)
    repository.commit({"a": "old"})
    commit = repository.commit({"a": "new", "b/c": "deep"})
    got = await clones.clone(https_host.url("app/.git"), authorities_pem=https_host.authorities_pem)
    assert got == commit
    assert clones.files() == {"a": "new", "b/c": "deep"}
    assert f"HEAD is commit {commit}" in clones.lines


@pytest.mark.parametrize("form", ["branch", "tag", "annotated", "full name", "commit", "short", "old commit", "upper"])
async def test_every_form_of_a_ref_leads_to_its_commit(
    tmp_path: Path, https_host: HttpsHost, clones: Clones, form: str
) -> None:
    repository = hosted(tmp_path)
    first = repository.commit({"a": "first"})
    git(repository.folder, "tag", "v1")
    git(repository.folder, "tag", "-a", "v1-signed", "-m", "x")
    git(repository.folder, "checkout", "-q", "-b", "feature/x")
    second = repository.commit({"a": "second"})
    git(repository.folder, "checkout", "-q", "main")
    ref, commit = {
        "branch": ("feature/x", second),
        "tag": ("v1", first),
        "annotated": ("v1-signed", first),
        "full name": ("refs/heads/feature/x", second),
        "commit": (second, second),
        "short": (second[:9], second),
        "old commit": (first, first),
        "upper": (first.upper(), first),
    }[form]
    assert await clones.clone(https_host.url("app/.git"), ref, authorities_pem=https_host.authorities_pem) == commit
    assert clones.files() == {"a": "first" if commit == first else "second"}


async def test_a_branch_goes_before_a_tag_of_its_name(tmp_path: Path, https_host: HttpsHost, clones: Clones) -> None:
    repository = hosted(tmp_path)
    repository.commit({"a": "tag"})
    git(repository.folder, "tag", "both")
    git(repository.folder, "checkout", "-q", "-b", "both")
    commit = repository.commit({"a": "branch"})
    assert await clones.clone(https_host.url("app/.git"), "both", authorities_pem=https_host.authorities_pem) == commit


@pytest.mark.parametrize("by", ["branch", "commit"])
async def test_a_host_that_knows_no_shallow_clone_gives_the_whole(
    tmp_path: Path, https_host: HttpsHost, clones: Clones, by: str
) -> None:
    repository = hosted(tmp_path)
    commit = repository.commit({"a": "1"})
    repository.commit({"a": "2"})
    git(repository.folder, "update-server-info")
    https_host.dumb = True
    ref = {"branch": "main", "commit": commit}[by]
    await clones.clone(https_host.url("app/.git"), ref, authorities_pem=https_host.authorities_pem)
    assert clones.files() == {"a": "2" if by == "branch" else "1"}


async def test_a_sign_in_opens_its_repository_and_is_told_to_no_other_host(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    module = hosted(tmp_path, "private/module")
    pinned = module.commit({"m": "module"})
    repository = hosted(tmp_path, "private/app")
    repository.commit({"a": "secret"})
    elsewhere = https_host.url("private/module/.git").replace("127.0.0.1", "localhost")
    repository.add_submodule("lib", elsewhere, commit=pinned)
    login = HttpsLogin(username=LOGIN[0], password=LOGIN[1])
    with pytest.raises(faults.RepositoryDenied):
        await clones.clone(
            https_host.url("private/app/.git"), authorities_pem=https_host.authorities_pem, credential=login
        )
    assert (clones.root / "a").read_text() == "secret"
    told = {each.split(" ", 1)[0]: "Basic" in each for each in https_host.asked}
    assert told == {f"127.0.0.1:{https_host.port}": True, f"localhost:{https_host.port}": False}


async def test_a_submodule_of_the_same_host_is_cloned_with_the_same_sign_in(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    inner = hosted(tmp_path, "private/inner")
    innermost = inner.commit({"i": "inner"})
    module = hosted(tmp_path, "private/module")
    module.commit({"m": "old"})
    pinned = module.add_submodule("deeper/inner", "../../inner/.git", commit=innermost)
    module.commit({"m": "newer than what is pinned"})
    repository = hosted(tmp_path, "private/app")
    repository.commit({"a": "app"})
    commit = repository.add_submodule("lib/module", "../../module/.git", commit=pinned)
    login = HttpsLogin(username=LOGIN[0], password=LOGIN[1])
    got = await clones.clone(
        https_host.url("private/app/.git"), authorities_pem=https_host.authorities_pem, credential=login
    )
    assert got == commit
    files = clones.files()
    assert {name: files[name] for name in files if not name.endswith(".gitmodules")} == {
        "a": "app",
        "lib/module/m": "old",
        "lib/module/deeper/inner/i": "inner",
    }
    assert not list(clones.root.rglob(".git"))


@pytest.mark.parametrize("login", [None, HttpsLogin(username="bot", password="wrong")])
async def test_a_host_that_wants_another_sign_in_is_told_as_such(
    tmp_path: Path, https_host: HttpsHost, clones: Clones, login: HttpsLogin | None
) -> None:
    hosted(tmp_path, "private/app").commit({"a": "1"})
    with pytest.raises(faults.RepositoryDenied) as caught:
        await clones.clone(
            https_host.url("private/app/.git"), authorities_pem=https_host.authorities_pem, credential=login
        )
    assert "wrong" not in caught.value.message


async def test_a_deploy_key_opens_a_repository_over_ssh_with_its_submodule(
    tmp_path: Path, ssh_host: SshHost, clones: Clones
) -> None:
    module = hosted(tmp_path, "module")
    pinned = module.commit({"m": "module"})
    repository = hosted(tmp_path)
    repository.commit({"a": "over ssh"})
    commit = repository.add_submodule("lib", ssh_host.url(module.folder), commit=pinned)
    key = DeployKey(private_key=ssh_host.client.private_key)
    got = await clones.clone(ssh_host.url(repository.folder), credential=key, known_hosts=ssh_host.known_hosts)
    assert got == commit
    files = clones.files()
    assert (files["a"], files["lib/m"]) == ("over ssh", "module")


@pytest.mark.parametrize("case", ["unknown host", "other key", "no key", "wrong key", "no repository", "unknown ref"])
async def test_what_goes_wrong_over_ssh_says_what_it_is(
    tmp_path: Path, ssh_host: SshHost, clones: Clones, case: str
) -> None:
    repository = hosted(tmp_path)
    repository.commit({"a": "1"})
    asked: dict[str, Any] = {
        "credential": DeployKey(private_key=ssh_host.client.private_key),
        "known_hosts": ssh_host.known_hosts,
    }
    where = ssh_host.url(repository.folder)
    changes: dict[str, tuple[dict[str, Any], type[Fault]]] = {
        "unknown host": ({"known_hosts": f"git.example {make_key().public_key}\n"}, faults.HostKeyUnknown),
        "other key": ({"known_hosts": f"[127.0.0.1]:{ssh_host.port} {make_key().public_key}\n"}, faults.HostKeyChanged),
        "no key": ({"credential": None}, faults.RepositoryDenied),
        "wrong key": ({"credential": DeployKey(private_key=make_key().private_key)}, faults.RepositoryDenied),
        "no repository": ({}, faults.RepositoryNotFound),
        "unknown ref": ({"ref": "no-such"}, faults.RefUnknown),
    }
    change, fault = changes[case]
    if case == "no repository":
        where += "-no"
    with pytest.raises(fault) as caught:
        await clones.clone(where, **{**asked, **change})
    assert where in caught.value.message


async def test_a_commit_that_is_not_there_is_unknown_and_so_is_a_repository(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    hosted(tmp_path).commit({"a": "1"})
    hosted(tmp_path, "empty")
    for path, ref, fault in (
        ("app/.git", "0123456789" * 4, faults.RefUnknown),
        ("app/.git", "beefbeef", faults.RefUnknown),
        ("app/.git", "nothing", faults.RefUnknown),
        ("empty/.git", "HEAD", faults.RefUnknown),
        ("none/.git", "HEAD", faults.RepositoryNotFound),
        ("moved/app/.git", "HEAD", faults.GitHostRefused),
    ):
        await asyncio.to_thread(remove_tree, clones.root.parent)
        with pytest.raises(fault):
            await clones.clone(https_host.url(path), ref, authorities_pem=https_host.authorities_pem)


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, https_host: HttpsHost, clones: Clones
) -> None:
    hosted(tmp_path).commit({"a": "1"})
    with pytest.raises(faults.CloneFailed, match="certificate"):
        await clones.clone(https_host.url("app/.git"))

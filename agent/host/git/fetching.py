"""One repository fetched from its host: its refs, a commit as shallow as the host lets us, and its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from agent.core.faults import (
    CloneFailed,
    GitHostRefused,
    HostKeyChanged,
    HostKeyUnknown,
    RefUnknown,
    RepositoryDenied,
    RepositoryNotFound,
    RepositoryTooLarge,
)
from agent.host.git.programs import Finished, Programs
from agent.rules.git_complaints import Complaint, choose_sentence, decide_complaint
from agent.rules.git_refs import CommitId, NamedRef, ShortId, Wanted, choose_ref, list_names, parse_refs
from kit.faults import Fault
from kit.git_url import GitUrl

_WANTED: Final = "refs/moorage/wanted"
_ALL: Final = ("+refs/heads/*:refs/moorage/heads/*", "+refs/tags/*:refs/moorage/tags/*")
_MISSING_PROGRAM: Final = 127


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How git is called for one clone."""

    settings: tuple[tuple[str, str], ...]
    environment: dict[str, str]
    tell: Callable[[bytes, bool], None]
    watch: Callable[[], Awaitable[None]]


class Fetching:
    """Calls git in one folder for one repository; every fault names the repository by its address."""

    def __init__(self, programs: Programs, folder: Path, url: GitUrl, *, setup: Setup) -> None:
        self._programs = programs
        self._folder = folder
        self._url = url
        self._setup = setup

    async def fetch(self, ref: str) -> str:
        """Make the repository, fetch what the ref means, and return that commit's whole id."""
        await self._check("init", "-q", "--template=")
        return await self._fetch(ref, await self._choose(ref))

    async def fetch_commit(self, commit: str) -> None:
        """Make the repository and fetch this commit."""
        await self._check("init", "-q", "--template=")
        await self._fetch(commit, CommitId(commit))

    async def check_out(self, commit: str) -> None:
        """Write the commit's files into the folder."""
        await self._check("checkout", "-q", "--force", "--detach", commit)

    async def read(self, *arguments: str) -> bytes | None:
        """What git prints, or None when it fails."""
        done = await self._run(*arguments)
        return None if done.code else done.output

    async def _choose(self, ref: str) -> Wanted:
        done = await self._run("ls-remote", "--", self._url.text, *list_names(ref))
        if done.code:
            self._raise(done)
        wanted = choose_ref(ref, parse_refs(done.output))
        if wanted is None:
            raise RefUnknown(f"cannot clone {self._url.text}: it has no branch, tag or commit {ref!r}")
        return wanted

    async def _fetch(self, ref: str, wanted: Wanted) -> str:
        name = _WANTED
        match wanted:
            case NamedRef(name=source) | CommitId(id=source):
                done = await self._run(*_fetch_arguments(self._url, f"+{source}:{_WANTED}", depth=1))
                if done.code and decide_complaint(done.complaints) is not Complaint.NOT_SHALLOW:
                    self._raise(done)
                if done.code and isinstance(wanted, NamedRef):
                    await self._check(*_fetch_arguments(self._url, f"+{source}:{_WANTED}"))
                elif done.code:
                    await self._check(*_fetch_arguments(self._url, *_ALL))
                    name = source
            case ShortId(prefix=prefix):
                await self._check(*_fetch_arguments(self._url, *_ALL))
                name = prefix
        found = await self.read("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if not found:
            raise RefUnknown(
                f"cannot clone {self._url.text}: {ref!r} names no commit there, or more than one by its beginning"
            )
        return found.decode().strip()

    async def _check(self, *arguments: str) -> None:
        done = await self._run(*arguments)
        if done.code:
            self._raise(done)

    async def _run(self, *arguments: str) -> Finished:
        settings: list[str] = []
        for name, value in self._setup.settings:
            settings += ("-c", f"{name}={value}")
        return await self._programs.run(
            ["git", *settings, *arguments],
            folder=self._folder,
            environment=self._setup.environment,
            tell=self._setup.tell,
            watch=self._setup.watch,
        )

    def _raise(self, done: Finished) -> NoReturn:
        where, host = self._url.text, self._url.known_host
        fault: Fault
        match decide_complaint(done.complaints):
            case Complaint.KEY_UNKNOWN:
                fault = HostKeyUnknown(
                    f"cannot clone {where}: the host key of {host} is not known; give it with the deploy key, or in "
                    "the file that controld's setting git_known_hosts names"
                )
            case Complaint.KEY_CHANGED:
                fault = HostKeyChanged(
                    f"cannot clone {where}: {host} shows another host key than the one that is known"
                )
            case Complaint.DENIED:
                fault = RepositoryDenied(
                    f"cannot clone {where}: the host refuses the credential, or wants one: "
                    f"{choose_sentence(done.complaints)}"
                )
            case Complaint.MISSING:
                fault = RepositoryNotFound(
                    f"cannot clone {where}: the host has no such repository, or does not tell this credential of it"
                )
            case Complaint.REDIRECTED:
                fault = GitHostRefused(
                    f"cannot clone {where}: the host sends on to another address, which is not followed; give that one"
                )
            case Complaint.FULL:
                fault = RepositoryTooLarge(
                    f"cannot clone {where}: a file of it passes the limit on size, or the disk is full: "
                    f"{choose_sentence(done.complaints)}"
                )
            case Complaint.NOT_SHALLOW | Complaint.OTHER:
                fault = CloneFailed(f"cannot clone {where}: {_describe(done)}")
        raise fault


def _fetch_arguments(url: GitUrl, *refspecs: str, depth: int | None = None) -> Sequence[str]:
    shallow = () if depth is None else (f"--depth={depth}",)
    return ("fetch", "--progress", "--no-tags", "--no-write-fetch-head", *shallow, "--", url.text, *refspecs)


def _describe(done: Finished) -> str:
    if not done.complaints and done.code < 0:
        return f"git was ended by signal {-done.code}"
    if done.code == _MISSING_PROGRAM:
        return "this node has no git"
    return choose_sentence(done.complaints)

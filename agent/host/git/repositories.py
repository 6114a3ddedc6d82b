"""Clones repositories into a work's folder: a commit's files with its submodules, without history, held to limits."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import ssl
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from agent.core.faults import CloneFailed, RepositoryTooLarge
from agent.host.git.fetching import Fetching, Setup
from agent.host.git.hosts import find_addresses
from agent.host.git.keys import Held, hold_credential
from agent.host.git.programs import Programs
from agent.rules.git_modules import Submodule, parse_submodules
from agent.rules.git_settings import render_environment, render_settings, render_ssh
from agent.rules.git_tree import parse_tree
from kit.archive.limits import Limits
from kit.clock import Clock
from kit.files import remove_tree
from kit.git_url import GitUrl, parse_git_url, resolve_git_url
from wire.agent.builds import CloneAsked

_MOST_SUBMODULES: Final = 100
_DEEPEST: Final = 8
_PROGRESS_SECONDS: Final = 2.0
_LOOK_LEAST_SECONDS: Final = 0.5
_LOOK_SHARE: Final = 10
"""Looking at the size takes at most this part of the time."""


@dataclasses.dataclass(slots=True, kw_only=True)
class _Clone:
    """One clone under way."""

    asked: CloneAsked
    held: Held
    scratch: Path
    root: Path
    programs: Programs
    threads: int
    tell: Callable[[str], None]
    folders: list[Path] = dataclasses.field(default_factory=list)
    """Of the repository and its submodules."""
    entries: int = 0
    size_bytes: int = 0
    look_at: float = 0.0
    told_at: float = 0.0


class GitRepositories:
    """Clones at most so many bytes and files; sockets of helpers live below `sockets`, each in a private folder.

    Of the limits, which are those of contexts that arrive as archives, the bytes unpacked, the entries and the depth
    hold here too.
    """

    def __init__(self, *, sockets: Path, clock: Clock, limits: Limits) -> None:
        self._sockets = sockets
        self._clock = clock
        self._most_bytes = limits.uncompressed_bytes
        self._most_entries = limits.entries
        self._most_parts = limits.depth

    async def clear(self) -> None:
        """Drop what an agent before this one left."""
        await asyncio.to_thread(remove_tree, self._sockets)

    async def clone(
        self, asked: CloneAsked, *, root: Path, cpu_millis: int, memory_bytes: int, tell: Callable[[str], None]
    ) -> str:
        """Fill the new folder `root` with the files of the commit that is asked for, and return its whole id.

        `.git` folders are left out and modes are those that git knows. Whatever ends the call ends every program that
        it started. Raises the faults of `agent.core.faults` that are about repositories.
        """
        url = parse_git_url(asked.repo_url)
        scratch = root.with_name("git")
        sockets = self._sockets / root.parent.name[-8:]
        programs = Programs(memory_bytes=memory_bytes, file_bytes=self._most_bytes)
        try:
            async with asyncio.timeout(asked.timeout_seconds):
                await asyncio.to_thread(_make_folders, root, scratch, sockets)
                async with hold_credential(asked, url, programs=programs, folder=sockets) as held:
                    clone = _Clone(
                        asked=asked,
                        held=held,
                        scratch=scratch,
                        root=root,
                        programs=programs,
                        threads=max(1, cpu_millis // 1000),
                        tell=tell,
                    )
                    commit = await self._clone(clone, url)
                    await asyncio.to_thread(_settle, root, clone.folders)
                    return commit
        except TimeoutError as error:
            raise CloneFailed(
                f"cannot clone {url.text}: it did not end within {asked.timeout_seconds:g} seconds"
            ) from error
        finally:
            await asyncio.to_thread(remove_tree, sockets)
            await asyncio.to_thread(remove_tree, scratch)

    async def _clone(self, clone: _Clone, url: GitUrl) -> str:
        clone.tell(f"cloning {url.text} at {clone.asked.ref}")
        fetching = await self._prepare(clone, clone.root, url)
        commit = await fetching.fetch(clone.asked.ref)
        clone.tell(f"{clone.asked.ref} is commit {commit}")
        await self._check_out(clone, fetching, folder=clone.root, url=url, commit=commit, depth=0)
        if await fetching.read("grep", "-q", "--cached", "filter=lfs", "--", ":(glob)**/.gitattributes") is not None:
            clone.tell("warning: this repository keeps files in Git LFS, which is not fetched: they are pointers here")
        return commit

    async def _prepare(self, clone: _Clone, folder: Path, url: GitUrl) -> Fetching:
        asked = clone.asked
        if url.scheme == "http" and not asked.allow_private_hosts:
            raise CloneFailed(f"cannot clone {url.text}: its address must be of https or ssh")
        addresses = await find_addresses(url, allow_private=asked.allow_private_hosts)
        known_hosts, ssh = clone.scratch / "known_hosts", clone.scratch / "ssh_config"
        authorities = None if asked.authorities_pem is None else clone.scratch / "authorities.pem"
        await asyncio.to_thread(known_hosts.write_text, asked.known_hosts)
        await asyncio.to_thread(ssh.write_text, render_ssh(url, addresses=addresses, known_hosts=known_hosts))
        if authorities is not None:
            await asyncio.to_thread(_write_authorities, authorities, asked.authorities_pem or "")
        settings = render_settings(url, addresses=addresses, threads=clone.threads, authorities=authorities)
        environment = render_environment(ssh=ssh, home=clone.scratch, allow_http=asked.allow_private_hosts)
        setup = Setup(
            settings=(*settings, *clone.held.settings),
            environment={**environment, **clone.held.environment},
            tell=lambda line, passing: self._tell(clone, line, passing=passing),
            watch=lambda: self._look(clone),
        )
        return Fetching(clone.programs, folder, url, setup=setup)

    async def _check_out(
        self, clone: _Clone, fetching: Fetching, *, folder: Path, url: GitUrl, commit: str, depth: int
    ) -> None:
        listed = await fetching.read("ls-tree", "-r", "-l", "-z", commit)
        if listed is None:
            raise RepositoryTooLarge(f"cannot clone {url.text}: the list of its files is too long, or broken")
        tree = await asyncio.to_thread(parse_tree, listed)
        clone.entries += tree.entries
        clone.size_bytes += tree.size_bytes
        parts = tree.deepest + len(folder.relative_to(clone.root).parts)
        if clone.size_bytes > self._most_bytes or clone.entries > self._most_entries or parts > self._most_parts:
            raise RepositoryTooLarge(
                f"cannot clone {url.text}: its files pass {self._most_bytes} bytes, {self._most_entries} in number or "
                f"{self._most_parts} folders in depth"
            )
        await fetching.check_out(commit)
        clone.folders.append(folder)
        if not tree.links:
            return
        settings = await fetching.read("config", "--blob", f"{commit}:.gitmodules", "-z", "--list")
        for submodule in parse_submodules(settings or b""):
            if (pinned := tree.links.get(submodule.path)) is not None:
                await self._add_submodule(clone, submodule, folder=folder, parent=url, commit=pinned, depth=depth + 1)

    async def _add_submodule(
        self, clone: _Clone, submodule: Submodule, *, folder: Path, parent: GitUrl, commit: str, depth: int
    ) -> None:
        if len(clone.folders) > _MOST_SUBMODULES or depth > _DEEPEST:
            raise RepositoryTooLarge(
                f"cannot clone {clone.asked.repo_url}: it has more than {_MOST_SUBMODULES} submodules, "
                f"or goes more than {_DEEPEST} deep"
            )
        url = parse_git_url(resolve_git_url(parent.text, submodule.url))
        target = folder / submodule.path
        if await asyncio.to_thread(target.resolve) != await asyncio.to_thread(folder.resolve) / submodule.path:
            raise CloneFailed(f"cannot clone {clone.asked.repo_url}: a submodule's path leads out of the repository")
        clone.tell(f"cloning submodule {submodule.path} from {url.text} at {commit}")
        fetching = await self._prepare(clone, target, url)
        await fetching.fetch_commit(commit)
        await self._check_out(clone, fetching, folder=target, url=url, commit=commit, depth=depth)

    def _tell(self, clone: _Clone, line: bytes, *, passing: bool) -> None:
        """Tell the line; of states of progress one each two seconds."""
        now = self._clock.monotonic()
        if passing and now < clone.told_at + _PROGRESS_SECONDS:
            return
        if passing:
            clone.told_at = now
        clone.tell(line.decode(errors="replace"))

    async def _look(self, clone: _Clone) -> None:
        """Raise RepositoryTooLarge when the clone has grown past its limits."""
        begun = self._clock.monotonic()
        if begun < clone.look_at:
            return
        entries, size = await asyncio.to_thread(_measure, clone.root)
        if size > self._most_bytes or entries > self._most_entries:
            raise RepositoryTooLarge(
                f"cannot clone {clone.asked.repo_url}: with its history it passes {self._most_bytes} bytes or "
                f"{self._most_entries} files"
            )
        now = self._clock.monotonic()
        clone.look_at = now + max(_LOOK_LEAST_SECONDS, _LOOK_SHARE * (now - begun))


def _make_folders(root: Path, scratch: Path, sockets: Path) -> None:
    sockets.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_tree(sockets)
    for folder in (root, scratch, sockets):
        folder.mkdir(parents=True, mode=0o700)


def _write_authorities(path: Path, more: str) -> None:
    """Git takes one file in place of the system's, so that it has to hold those too."""
    known = ssl.get_default_verify_paths().cafile
    path.write_text((Path(known).read_text() if known else "") + "\n" + more)


def _measure(folder: Path) -> tuple[int, int]:
    entries = size = 0
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listing:
                for entry in listing:
                    entries += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # git moves its files while they are looked at
    return entries, size


def _settle(root: Path, folders: Iterable[Path]) -> None:
    """Drop what git keeps for itself, and give each file the mode that its commit says whatever our mask is."""
    for folder in folders:
        remove_tree(folder / ".git")
    for name, _, files in os.walk(root):
        Path(name).chmod(0o755)
        for file in files:
            path = Path(name, file)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)

"""A place of a test's own to clone into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.host.git.repositories import GitRepositories
from kit.archive.limits import Limits
from kit.clock import SystemClock
from tests.git_hosts import Repository
from wire.agent.builds import CloneAsked

WORK = "01890000-0000-7000-8000-000000000001"


class Clones:
    """Clones into a folder of the test's own."""

    def __init__(self, folder: Path, **limits: int) -> None:
        self.folder = folder
        self.lines: list[str] = []
        known = Limits(**{"uncompressed_bytes": 50_000_000, "entries": 1000, **limits})
        self.repositories = GitRepositories(sockets=folder / "s", clock=SystemClock(), limits=known)

    @property
    def root(self) -> Path:
        """The folder that is filled."""
        return self.folder / WORK / "context"

    async def clone(self, url: str, ref: str = "HEAD", **more: Any) -> str:
        """The commit that was cloned."""
        asked = CloneAsked(repo_url=url, ref=ref, **{"timeout_seconds": 30.0, "allow_private_hosts": True, **more})
        return await self.repositories.clone(
            asked, root=self.root, cpu_millis=1000, memory_bytes=1 << 30, tell=self.lines.append
        )

    def files(self) -> dict[str, str]:
        """What is there by its path; a link is told as `->` and where it leads."""
        found = sorted(path for path in self.root.rglob("*") if not path.is_dir() or path.is_symlink())
        return {
            str(path.relative_to(self.root)): f"->{path.readlink()}" if path.is_symlink() else path.read_text()
            for path in found
        }


def hosted(tmp_path: Path, name: str = "app") -> Repository:
    """A repository that the test's host serves."""
    return Repository.make(tmp_path / "hosted" / name)

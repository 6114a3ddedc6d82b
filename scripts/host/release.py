"""What a daemon's release is made of: its files, its lock, and a name that changes when any of them does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from wire.version import RELEASE

ROOT: Final = Path(__file__).resolve().parents[2]


class Role(StrEnum):
    """Which daemon a machine runs; one machine may run both."""

    CONTROLD = "controld"
    AGENT = "agent"


PACKAGES: Final = {
    Role.CONTROLD: ("client", "controld", "kit", "wire"),
    Role.AGENT: ("agent", "kit", "wire"),
}
"""Our packages that each role needs; the command line comes with the control daemon, whose lock holds its needs."""

COMMANDS: Final = {
    Role.CONTROLD: {"moorage-controld": "controld", "moorage": "client"},
    Role.AGENT: {"moorage-agent": "agent"},
}
"""Each role's commands, and the package whose `__main__` each starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A role's files in a checkout, by their place below `root`, and the release's name."""

    role: Role
    name: str
    root: Path
    files: tuple[str, ...]

    @property
    def lock(self) -> Path:
        """The role's packages, pinned with hashes."""
        return self.root / "requirements" / f"{self.role}.txt"


def read_release(role: Role, *, root: Path = ROOT, python: str) -> Release:
    """The release that stands in the checkout, for this interpreter."""
    files = tuple(
        sorted(
            path.relative_to(root).as_posix()
            for package in PACKAGES[role]
            for path in (root / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        )
    )
    digest = hashlib.sha256(python.encode() + (root / "requirements" / f"{role}.txt").read_bytes())
    for name in files:
        digest.update(b"\0" + name.encode() + b"\0" + hashlib.sha256((root / name).read_bytes()).digest())
    return Release(role=role, name=f"{RELEASE}-{digest.hexdigest()[:12]}", root=root, files=files)


def read_template(name: str, *, root: Path = ROOT) -> str:
    """The text of a file in `systemd/`."""
    return (root / "systemd" / name).read_text()

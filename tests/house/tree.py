"""What the house tests look at: the files that the project keeps, and its packages."""

from __future__ import annotations

import importlib
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "client", "controld", "kit", "wire")


def list_files(*patterns: str) -> list[Path]:
    """The project's files that exist and match, sorted: what git tracks, and what is new and not ignored."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sorted({ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def name_of(path: Path) -> str:
    """The path as people write it, from the root of the project."""
    return path.relative_to(ROOT).as_posix()


def import_all(*, packages: tuple[str, ...] = PACKAGES) -> Iterator[ModuleType]:
    """Import every module of our packages; numbered migrations and their environment belong to Alembic."""
    for path in list_files(*(f"{package}/*.py" for package in packages)):
        relative = path.relative_to(ROOT).with_suffix("")
        if "migrations" in relative.parts:
            continue
        yield importlib.import_module(".".join(relative.parts).removesuffix(".__init__"))


def read_pyproject() -> dict[str, Any]:
    """The project's own table of facts."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())

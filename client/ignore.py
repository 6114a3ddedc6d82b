"""Which files of a folder are left at home when it is pushed."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Final

ALWAYS: Final = (".git",)


def read_ignored(folder: Path) -> Callable[[str], bool]:
    """Whether to take a path: `.git` and what the folder's `.moorageignore` names stay out.

    A line of that file is a shell pattern for a path relative to the folder, or for any name where it holds no slash;
    lines that are empty or begin with `#` say nothing.
    """
    try:
        lines = (folder / ".moorageignore").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    patterns = [line.strip().rstrip("/") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return lambda path: not is_ignored(path, (*ALWAYS, *patterns))


def is_ignored(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns names the path."""
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(path if "/" in pattern else name, pattern.removeprefix("/")) for pattern in patterns)

"""Writes the files that HAProxy starts from, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_changed(files: Mapping[Path, str]) -> bool:
    """Replace each file whose text differs, in order, and say whether any did; blocks until the disk has them."""
    changed = False
    for path, text in files.items():
        if read_text(path) != text:
            _replace(path, text)
            changed = True
    return changed


def read_text(path: Path) -> str | None:
    """The text of a file; None when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    # The agent and its `ingress` command may write at the same moment, each a whole file under a name of its own.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)

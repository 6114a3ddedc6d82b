"""Writes the files that HAProxy starts from, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kit.files import replace_file


def write_changed(files: Mapping[Path, str]) -> bool:
    """Replace each file whose text differs, in order, and say whether any did; blocks until the disk has them."""
    changed = False
    for path, text in files.items():
        if read_text(path) != text:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(path, text.encode(), mode=0o644)
            changed = True
    return changed


def read_text(path: Path) -> str | None:
    """The text of a file; None when there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None

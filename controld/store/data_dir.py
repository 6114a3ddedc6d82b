"""The directory where controld keeps its files: made for its owner alone, and held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controld.core.faults import DataDirBusy
from kit.ids import Ids


@contextmanager
def held_data_dir(path: Path) -> Iterator[None]:
    """Make the directory where it is missing and hold it; raises DataDirBusy. It blocks: use it ahead of the loop."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirBusy(f"cannot start: another controld works in {path}") from error
        yield


def read_own_secret(path: Path, *, ids: Ids) -> str:
    """The secret in the file, which is made with 0600 and a fresh one where it is missing; it blocks."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        secret = ids.new_secret(32)
        file.write(secret + "\n")
    return secret

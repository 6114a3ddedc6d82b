"""Files written whole and durably: under their name they show complete or not at all; and whole folders removed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


class Draft:
    """A file that is being written under a passing name beside its path; every call blocks until it is done.

    A draft that nobody ends, since its program died, is a file whose name begins with a dot and that of its path.
    """

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        self.path = path
        self.part = Path(name)
        self.size_bytes = 0
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        os.fchmod(descriptor, mode)

    def write(self, data: bytes) -> None:
        """Append all of the data, or nothing: what was written of it is taken back when the disk refuses the rest."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self.size_bytes)
            self._file.seek(self.size_bytes)
            raise
        self.size_bytes += len(data)

    def settle(self) -> None:
        """Return once the disk has what was written."""
        os.fsync(self._file.fileno())

    def replace(self) -> None:
        """Put it in the place of what the path names, for good."""
        self.settle()
        self.part.replace(self.path)
        _sync_folder(self.path.parent)

    def close(self) -> None:
        """End the draft; what has not been put in place is gone. Calling it again does nothing."""
        self._file.close()
        self.part.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put the data in the place of what the path names; blocks until the disk has it. The folder exists already."""
    with contextlib.closing(Draft(path, mode=mode)) as draft:
        draft.write(data)
        draft.replace()


def create_file(path: Path, data: bytes, *, mode: int = 0o600) -> bool:
    """Put the data under a path that names nothing yet, and say whether it did: of two at once one wins."""
    with contextlib.closing(Draft(path, mode=mode)) as draft:
        draft.write(data)
        draft.settle()
        try:
            os.link(draft.part, path)
        except FileExistsError:
            return False
    _sync_folder(path.parent)
    return True


def make_folder(path: Path, *, mode: int = 0o700) -> None:
    """Make the folder where there is none, those above it included; what it returned for is there after a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
        _sync_folder(folder.parent)


def remove_tree(folder: Path) -> None:
    """Remove the folder and all in it, however deep; links are removed and not followed. What is gone is fine.

    What the disk refuses stays, and is tried again by the next call for this folder.
    """
    waste = folder.with_name(f"{folder.name}.gone")
    with contextlib.suppress(FileNotFoundError):
        inode = folder.lstat().st_ino
        with contextlib.suppress(FileExistsError):
            waste.mkdir(mode=0o700)
        folder.rename(waste / str(inode))
    waiting = [Path(entry.path) for entry in _list_entries(waste)]
    while waiting:
        place = waiting.pop()
        for entry in _list_entries(place):
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    # Lifted up, so that no path grows longer than the kernel takes.
                    waiting.append(Path(entry.path).rename(waste / str(entry.inode())))
                else:
                    Path(entry.path).unlink()
        with contextlib.suppress(OSError):
            place.rmdir()
    with contextlib.suppress(OSError):
        waste.rmdir()


def _list_entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return list(listing)
    except OSError:
        return []


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

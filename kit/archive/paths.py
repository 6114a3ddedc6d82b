"""Which paths an archive may name, and which of them may stand beside each other."""

from __future__ import annotations

from kit.archive.faults import PathForbidden, PathTaken, TooManyEntries, render_name
from kit.archive.limits import Limits


def parse_path(name: bytes, limits: Limits) -> bytes:
    """The path below the root in its shortest form, empty for the root itself; PathForbidden when it may not be.

    `.` and doubled or trailing slashes are dropped. A backslash is an ordinary character, as it is on Linux.
    """
    if not name:
        raise PathForbidden("cannot read archive: an entry has an empty path")
    if name[0] == 0x2F:
        raise PathForbidden(f"cannot read archive: the path {render_name(name)} is absolute")
    if b"\0" in name:
        raise PathForbidden(f"cannot read archive: the path {render_name(name)} holds a NUL")
    parts = name.split(b"/")
    if b".." in parts:
        raise PathForbidden(f"cannot read archive: the path {render_name(name)} holds '..'")
    if b"" in parts or b"." in parts:
        parts = [part for part in parts if part not in (b"", b".")]
        name = b"/".join(parts)
    if len(name) > limits.path_bytes or len(parts) > limits.depth:
        raise PathForbidden(
            f"cannot read archive: the path {render_name(name)} is longer than {limits.path_bytes} bytes"
            f" or deeper than {limits.depth} names"
        )
    if len(name) > limits.component_bytes and max(map(len, parts)) > limits.component_bytes:
        raise PathForbidden(
            f"cannot read archive: the path {render_name(name)} holds a name longer than {limits.component_bytes} bytes"
        )
    return name


class Tree:
    """Remembers the paths of one archive and refuses what contradicts them.

    A directory may come again, a file may not. Paths are remembered by their 64-bit keyed hash, so that the longest
    ones cost no more memory than the shortest, about 80 bytes each.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._files: set[int] = set()
        self._directories: set[int] = {hash(b"")}
        self._implied = 0

    def add(self, name: bytes, *, is_directory: bool) -> bytes:
        """The parsed path of the next entry, empty for the root; a fault when the path may not be or is taken."""
        path = parse_path(name, self._limits)
        key = hash(path)
        if not is_directory:
            if name[-1] == 0x2F or not path:
                raise PathForbidden(f"cannot read archive: the file {render_name(name)} is named as a directory")
            if key in self._files or key in self._directories:
                raise PathTaken(f"cannot read archive: the path {render_name(path)} occurs twice")
            self._files.add(key)
        else:
            if key in self._files:
                raise PathTaken(f"cannot read archive: the path {render_name(path)} is both a file and a directory")
            self._directories.add(key)
        self._imply(path)
        return path

    def _imply(self, path: bytes) -> None:
        parent = path.rpartition(b"/")[0]
        while (key := hash(parent)) not in self._directories:
            if key in self._files:
                raise PathTaken(f"cannot read archive: the path {render_name(parent)} is both a file and a directory")
            self._directories.add(key)
            self._implied += 1
            if self._implied > self._limits.implied_directories:
                raise TooManyEntries(
                    f"cannot read archive: its paths need more than {self._limits.implied_directories} directories"
                )
            parent = parent.rpartition(b"/")[0]

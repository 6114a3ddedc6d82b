"""Writes files and directories below one directory by descriptors, so that no path is ever looked up through a link."""

from __future__ import annotations

import errno
import os

from kit.archive.faults import ArchiveUnwritable, PathTaken, render_name

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_EXECUTABLE_MODE = 0o755
_HELD_DIRECTORIES = 64
_MODE_BITS = 0o777


class Target:
    """A directory being filled; holds at most 66 descriptors, which `close` gives back.

    Modes are 0755 for directories and executable files and 0644 for others, whatever the process's umask.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        try:
            self._root = os.open(root, _DIRECTORY_FLAGS)
        except OSError as error:
            raise ArchiveUnwritable(f"cannot unpack archive: {error.strerror}") from error
        self._held: dict[bytes, int] = {}
        self._file: int | None = None
        self._mode_is_exact: dict[int, bool] = {}

    def make_directory(self, path: bytes) -> None:
        """Make the directory and those above it unless they are there."""
        try:
            self._directory(path)
        except OSError as error:
            raise _fault(path, error) from error

    def open_file(self, path: bytes, *, executable: bool) -> None:
        """Make the file, which must not exist, and direct `write` to it."""
        parent, _, name = path.rpartition(b"/")
        mode = _EXECUTABLE_MODE if executable else _FILE_MODE
        try:
            self._file = file = os.open(
                name, _FILE_FLAGS, mode, dir_fd=self._held.get(parent) or self._directory(parent)
            )
            if not self._mode_is_exact.get(mode):
                self._set_mode(file, mode)
        except OSError as error:
            raise _fault(path, error) from error

    def write(self, data: memoryview) -> None:
        """Append the data to the open file."""
        if self._file is None:
            raise ValueError("no file is open")
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            raise ArchiveUnwritable(f"cannot unpack archive: {error.strerror}") from error

    def close_file(self) -> None:
        """Close the open file, if there is one."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                os.close(file)
            except OSError as error:
                raise ArchiveUnwritable(f"cannot unpack archive: {error.strerror}") from error

    def close(self) -> None:
        """Give back every descriptor."""
        try:
            self.close_file()
        finally:
            while self._held:
                os.close(self._held.popitem()[1])
            os.close(self._root)

    def _directory(self, path: bytes) -> int:
        if not path:
            return self._root
        held = self._held.get(path)
        if held is not None:
            return held
        parent, _, name = path.rpartition(b"/")
        above = self._directory(parent)
        try:
            directory = os.open(name, _DIRECTORY_FLAGS, dir_fd=above)
        except FileNotFoundError:
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=above)
            directory = os.open(name, _DIRECTORY_FLAGS, dir_fd=above)
            os.fchmod(directory, _DIRECTORY_MODE)
        if len(self._held) >= _HELD_DIRECTORIES:
            os.close(self._held.pop(next(iter(self._held))))
        self._held[path] = directory
        return directory

    def _set_mode(self, file: int, mode: int) -> None:
        """Give the file the mode, and learn whether umask and default ACL leave it as asked from now on."""
        exact = os.fstat(file).st_mode & _MODE_BITS == mode
        self._mode_is_exact[mode] = exact
        if not exact:
            os.fchmod(file, mode)


def _fault(path: bytes, error: OSError) -> PathTaken | ArchiveUnwritable:
    if isinstance(error, (FileExistsError, NotADirectoryError)) or error.errno == errno.ELOOP:
        return PathTaken(f"cannot unpack archive: something else is in the way of {render_name(path)}")
    return ArchiveUnwritable(f"cannot unpack archive: {render_name(path)}: {error.strerror}")

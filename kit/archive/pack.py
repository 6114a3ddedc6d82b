"""Packs a folder into an archive that is the same, byte for byte, whenever the folder's names and contents are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from kit.archive.faults import ArchiveUnreadable, ArchiveUnwritable, EntryForbidden, render_name
from kit.archive.summary import Summary

_LEVEL = 3
_COPY_BYTES = 1 << 18
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_END_MARK = bytes(2 * tarfile.BLOCKSIZE)
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def _all(_path: str) -> bool:
    return True


def pack(folder: Path, sink: BinaryIO | Path, *, include: Callable[[str], bool] = _all, level: int = _LEVEL) -> Summary:
    """Write the folder's files and directories to the sink as a tar.zst, each directory's in the order of their names.

    `include` is asked with each path relative to the folder, separated by `/`; a directory it refuses is not entered.
    Modes are 0755 or 0644, owner and times are zero. A symbolic link or special file that is included ends the work
    with EntryForbidden. Blocking; a sink given as a path is removed on failure, one given as a file stays open.
    """
    with contextlib.ExitStack() as stack:
        output = _Output(stack.enter_context(_made_file(sink)) if isinstance(sink, Path) else sink, level)
        packing = _Packing(output)
        try:
            packing.add_folder(folder, "", include)
        except OSError as error:
            raise ArchiveUnreadable(f"cannot pack {packing.at}: {error.strerror or error}") from error
        output.finish()
    return Summary(
        entries=packing.entries,
        files=packing.files,
        uncompressed_bytes=packing.uncompressed_bytes,
        compressed_bytes=output.written_bytes,
        sha256=output.sha256.hexdigest(),
    )


class _Output:
    """Compresses into a sink, whose failures are a fault of its own, and hashes what the sink gets."""

    def __init__(self, sink: BinaryIO, level: int) -> None:
        self._sink = sink
        self._zstd = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
        self.sha256 = hashlib.sha256()
        self.written_bytes = 0

    def write(self, data: bytes) -> None:
        """Append bytes of the tar file."""
        self._send(self._zstd.compress(data))

    def finish(self) -> None:
        """Append the end mark and end the zstd frame."""
        self.write(_END_MARK)
        self._send(self._zstd.flush())

    def _send(self, data: bytes) -> None:
        self.sha256.update(data)
        self.written_bytes += len(data)
        view = memoryview(data)
        try:
            while view:
                view = view[self._sink.write(view) :]
        except OSError as error:
            raise ArchiveUnwritable(f"cannot write archive: {error.strerror or error}") from error


class _Packing:
    """Adds folders to one output and counts; `at` is the path in work, for messages."""

    def __init__(self, output: _Output) -> None:
        self._output = output
        self.at = "the folder"
        self.entries = 0
        self.files = 0
        self.uncompressed_bytes = 0

    def add_folder(self, folder: Path, inside: str, include: Callable[[str], bool]) -> None:
        """Add what the folder holds, under the path it has in the archive."""
        with os.scandir(folder) as children:
            found = sorted(children, key=lambda child: os.fsencode(child.name))
        for child in found:
            path = f"{inside}{child.name}"
            if not include(path):
                continue
            self.at = render_name(os.fsencode(path))
            if child.is_dir(follow_symlinks=False):
                self._add_header(path, kind=tarfile.DIRTYPE, mode=0o755)
                self.add_folder(Path(child.path), f"{path}/", include)
            else:
                _check_kind(child.stat(follow_symlinks=False).st_mode, self.at)
                self._add_file(child.path, path)

    def _add_file(self, place: str, path: str) -> None:
        with os.fdopen(os.open(place, _FILE_FLAGS), "rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            _check_kind(found.st_mode, self.at)
            executable = found.st_mode & stat.S_IXUSR
            self._add_header(path, mode=0o755 if executable else 0o644, size=found.st_size)
            left = found.st_size
            while left:
                data = file.read(min(left, _COPY_BYTES))
                if not data:
                    raise ArchiveUnreadable(f"cannot pack {self.at}: it became shorter while it was read")
                self._output.write(data)
                left -= len(data)
            self._output.write(bytes(-found.st_size % tarfile.BLOCKSIZE))
        self.files += 1
        self.uncompressed_bytes += found.st_size

    def _add_header(self, path: str, *, mode: int, kind: bytes = tarfile.REGTYPE, size: int = 0) -> None:
        info = tarfile.TarInfo(path)
        info.type = kind
        info.mode = mode
        info.size = size
        self._output.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        self.entries += 1


def _check_kind(mode: int, shown: str) -> None:
    if not stat.S_ISREG(mode):
        raise EntryForbidden(
            f"cannot pack {shown}: it is {_KINDS.get(stat.S_IFMT(mode), 'no regular file')};"
            " only regular files and directories are accepted"
        )


@contextlib.contextmanager
def _made_file(path: Path) -> Iterator[BinaryIO]:
    """A new or emptied file at the path, removed again when the work inside fails."""
    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise ArchiveUnwritable(f"cannot write archive: {error.strerror}") from error
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise

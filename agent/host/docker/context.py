"""A folder as the tar that a build wants, made piece by piece in a thread while the engine reads it."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PIECE_BYTES = 256 * 1024


class BuildContext:
    """Iterates over the tar of a folder without what its `.dockerignore` leaves out; never whole in memory.

    Files belong to root in the tar. Links stay links; devices, pipes and sockets are left out. `failure` holds what
    went wrong while the folder was read.
    """

    def __init__(self, folder: Path, *, dockerfile: str) -> None:
        self._pieces = _make_pieces(folder, dockerfile)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="build-context")
        self.failure: OSError | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await asyncio.get_running_loop().run_in_executor(self._thread, next, self._pieces, b"")
        except OSError as error:
            self.failure = error
            raise
        if not piece:
            raise StopAsyncIteration
        return piece

    def close(self) -> None:
        """Read no further."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _make_pieces(folder: Path, dockerfile: str) -> Iterator[bytes]:
    # Only its bookkeeping of hard links is used: the bytes go out as they are made.
    archive = tarfile.TarFile(fileobj=io.BytesIO(), mode="w")
    buffer = bytearray()
    for name in _list_names(folder, dockerfile):
        path = folder / name
        if not _belongs(path.lstat().st_mode):
            continue
        entry = archive.gettarinfo(path, arcname=name)
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = int(entry.mtime)
        buffer += entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        if entry.isreg():
            for data in _read_file(path, entry.size):
                buffer += data
                if len(buffer) >= _PIECE_BYTES:
                    yield bytes(buffer)
                    buffer.clear()
            buffer += bytes(-entry.size % tarfile.BLOCKSIZE)
    buffer += bytes(2 * tarfile.BLOCKSIZE)
    yield bytes(buffer)


def _list_names(folder: Path, dockerfile: str) -> list[str]:
    """What goes into the context, folders before what is in them."""
    ignored = _read_ignored(folder)
    if not ignored:
        return sorted(_walk(folder))
    # Its library comes with a whole client of the engine, 7 MB, which nothing else here needs.
    from docker.utils.build import exclude_paths

    return sorted(exclude_paths(str(folder), ignored, dockerfile))


def _walk(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder, onerror=_raise):
        for name in (*folders, *files):
            yield os.path.relpath(os.path.join(place, name), folder)  # noqa: PTH118 - half the time of a Path each


def _raise(error: OSError) -> None:
    raise error


def _belongs(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def _read_file(path: Path, size: int) -> Iterator[bytes]:
    left = size
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        while left:
            data = source.read(min(left, _PIECE_BYTES))
            if not data:
                raise OSError(f"{path.name} became shorter while it was read")
            left -= len(data)
            yield data


def _read_ignored(folder: Path) -> list[str]:
    path = folder / ".dockerignore"
    if path.is_symlink() or not path.is_file():
        return []
    lines = path.read_text(errors="replace").removeprefix("\ufeff").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

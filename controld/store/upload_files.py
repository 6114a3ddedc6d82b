"""The bytes of uploads in a folder, written and checked in a thread while they arrive."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from controld.core.faults import StorageFailed, StorageFull, UploadStalled
from kit.archive.limits import Limits
from kit.archive.scan import Scanner
from kit.archive.summary import Summary
from kit.clock import Clock

T = TypeVar("T")

_PIECE_BYTES: Final = 1024 * 1024
_THREADS: Final = 4
_WHOLE: Final = ".tar.zst"
_PART: Final = ".part"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class UploadFiles:
    """One archive a file, named for its upload; what is still arriving has another name.

    While a thread writes, hashes and scans one piece of about 1 MiB, the next one is collected, so that an upload holds
    two pieces at the most and no thread waits for a client.
    """

    def __init__(self, folder: Path, *, limits: Limits, clock: Clock, stall_seconds: float = 60.0) -> None:
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._stall_seconds = stall_seconds
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="uploads")

    def close(self) -> None:
        """End the threads once they are through with their pieces."""
        self._threads.shutdown(wait=False)

    def path(self, upload_id: str) -> Path:
        """Where the archive is."""
        if _ID.fullmatch(upload_id) is None:
            raise ValueError(f"{upload_id!r} is not the id of an upload")
        return self._folder / (upload_id + _WHOLE)

    async def receive(self, upload_id: str, chunks: AsyncIterator[bytes]) -> Summary:
        """Write and check an archive while it arrives; on any failure nothing of it is left.

        Raises the faults of `kit.archive`, UploadStalled, StorageFull and StorageFailed; what `chunks` raises passes.
        """
        sink = _Sink(self.path(upload_id), self._limits)
        writing: asyncio.Future[None] | None = None
        try:
            async for pieces in self._collect(chunks):
                if writing is not None:
                    await writing
                writing = self._run(sink.write, pieces)
            if writing is not None:
                await writing
            return await self._run(sink.finish)
        except BaseException:
            await asyncio.shield(self._discard(sink, writing))
            raise

    async def remove(self, upload_id: str) -> None:
        """Drop the archive; no error when it is gone."""
        path = self.path(upload_id)
        await self._run(_remove, path, path.with_suffix(_PART))

    async def list_settled(self, *, older_than_seconds: float) -> frozenset[str]:
        """Ids of archives, whole ones and abandoned ones, that were last written so long ago."""
        return await self._run(_list_older, self._folder, older_than_seconds, self._clock.now().timestamp())

    async def _collect(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
        pieces: list[bytes] = []
        size = 0
        source = aiter(chunks)
        while True:
            try:
                async with asyncio.timeout(self._stall_seconds):
                    chunk = await anext(source, None)
            except TimeoutError as error:
                raise UploadStalled(f"cannot take upload: nothing arrived for {self._stall_seconds:g} s") from error
            if chunk is None:
                break
            pieces.append(chunk)
            size += len(chunk)
            if size >= _PIECE_BYTES:
                yield pieces
                pieces, size = [], 0
        if pieces:
            yield pieces

    async def _discard(self, sink: _Sink, writing: asyncio.Future[None] | None) -> None:
        if writing is not None:
            await asyncio.wait([writing])
            if not writing.cancelled():
                writing.exception()
        await self._run(sink.discard)

    def _run(self, work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


class _Sink:
    """One arriving archive; every method blocks and is called in one thread at a time."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._part = path.with_suffix(_PART)
        self._scanner = Scanner(limits)
        self._descriptor: int | None = None

    def write(self, pieces: list[bytes]) -> None:
        """Write and check some bytes."""
        with _storage_faults():
            if self._descriptor is None:
                self._descriptor = self._open()
            for piece in pieces:
                self._scanner.feed(piece)
                _write_all(self._descriptor, piece)

    def finish(self) -> Summary:
        """Make what was written the upload's archive, once it is on the disk."""
        summary = self._scanner.finish()
        with _storage_faults():
            assert self._descriptor is not None
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            self._part.replace(self._path)
        return summary

    def discard(self) -> None:
        """Leave nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        with _storage_faults():
            _remove(self._part, self._path)

    def _open(self) -> int:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _write_all(descriptor: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _list_older(folder: Path, older_than_seconds: float, now: float) -> frozenset[str]:
    found = set()
    before = now - older_than_seconds
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                upload_id = entry.name.partition(".")[0]
                if _ID.fullmatch(upload_id) is not None and entry.stat().st_mtime <= before:
                    found.add(upload_id)
    return frozenset(found)


@contextlib.contextmanager
def _storage_faults() -> Iterator[None]:
    """Word the disk's failures as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(
                "cannot keep upload: the control daemon's disk is full", retry_after_seconds=60
            ) from error
        raise StorageFailed(f"cannot keep upload: {error.strerror or error}") from error

"""The folder of blobs: files named by their digest, and parts of uploads on their way to become such files."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from controld.core.registry_faults import (
    BlobStoreFull,
    BlobTooLarge,
    BlobUploadBusy,
    BlobUploadNotFound,
    DigestInvalid,
)
from controld.model.registry import StoredBlob

T = TypeVar("T")

_PIECE_BYTES: Final = 1024 * 1024
_THREADS: Final = 4
_KEPT_HASHES: Final = 256


class Part:
    """The file of an upload, held by one writer; `offset` is how many bytes it has."""

    def __init__(self, descriptor: int, *, run: Callable[..., asyncio.Future[Any]], hasher: Any) -> None:
        self._descriptor = descriptor
        self._run = run
        self._guard = threading.Lock()
        self._broken = False
        self.hasher = hasher
        """SHA-256 of what is in the file."""
        self.offset = os.fstat(descriptor).st_size

    async def append(self, chunks: AsyncIterator[bytes], *, limit_bytes: int) -> None:
        """Write what comes to the end; what had come before a failure stays. Raises BlobTooLarge, BlobStoreFull.

        While one piece is written and hashed in a thread, the next is gathered; more is not held in memory.
        """
        gathered: list[bytes] = []
        size, total = 0, self.offset
        writing: asyncio.Future[None] | None = None
        try:
            async for chunk in chunks:
                size, total = size + len(chunk), total + len(chunk)
                if total > limit_bytes:
                    raise BlobTooLarge(f"cannot take the blob: it is larger than {limit_bytes} bytes")
                gathered.append(chunk)
                if size >= _PIECE_BYTES:
                    if writing is not None:
                        await asyncio.shield(writing)
                    writing, gathered, size = self._run(self._write, gathered), [], 0
        finally:
            if writing is not None:
                await asyncio.shield(writing)
            if gathered and not self._broken:
                await asyncio.shield(self._run(self._write, gathered))

    async def truncate(self, offset: int) -> None:
        """Drop what lies behind the offset."""
        await self._run(self._truncate, offset)

    async def seal(self, digest: str) -> None:
        """Make sure that the bytes have this digest and are on the disk; raises DigestInvalid, BlobStoreFull."""
        await self._run(self._seal, digest)

    def close(self) -> tuple[int, int]:
        """Let go of the file, once a thread that still writes is done; the file's size and time of change."""
        with self._guard:
            self._broken = True
            found = os.fstat(self._descriptor)
            os.close(self._descriptor)
            return found.st_size, found.st_mtime_ns

    def _write(self, pieces: list[bytes]) -> None:
        with self._guard, _translated():
            if self._broken:
                return
            try:
                for piece in pieces:
                    left = memoryview(piece)
                    while left:
                        left = left[os.write(self._descriptor, left) :]
                    self.hasher.update(piece)
                    self.offset += len(piece)
            except OSError:
                self._broken = True
                os.ftruncate(self._descriptor, self.offset)
                raise

    def _truncate(self, offset: int) -> None:
        with self._guard, _translated():
            os.ftruncate(self._descriptor, offset)
            os.lseek(self._descriptor, 0, os.SEEK_END)
            self.offset = offset
            self.hasher = _hash_file(self._descriptor, "sha256")

    def _seal(self, digest: str) -> None:
        with self._guard, _translated():
            algorithm, _, wanted = digest.partition(":")
            hasher = self.hasher if algorithm == "sha256" else _hash_file(self._descriptor, algorithm)
            if hasher.hexdigest() != wanted:
                raise DigestInvalid(
                    f"cannot take the blob: its bytes have the digest {algorithm}:{hasher.hexdigest()}",
                    details={"digest": digest},
                )
            os.fsync(self._descriptor)


class BlobFiles:
    """Keeps `<algorithm>/<two digits>/<digest>` and `uploads/<id>` below a folder; all work is done in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._uploads = folder / "uploads"
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        self._hashes: dict[str, tuple[Any, int, int]] = {}

    async def open(self) -> None:
        """Make the folders."""

        def make() -> None:
            self._uploads.mkdir(mode=0o700, parents=True, exist_ok=True)

        await self._run(make)

    async def close(self) -> None:
        """End the threads once they are done."""
        await asyncio.to_thread(self._pool.shutdown)

    async def create(self, upload_id: str) -> None:
        """Begin an upload with nothing in it."""

        def create() -> None:
            with _translated():
                os.close(os.open(self._uploads / upload_id, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

        await self._run(create)

    async def measure(self, upload_id: str) -> int:
        """How many bytes of an upload have come; raises BlobUploadNotFound."""

        def measure() -> int:
            with _found(upload_id):
                return (self._uploads / upload_id).stat().st_size

        return await self._run(measure)

    @asynccontextmanager
    async def writing(self, upload_id: str) -> AsyncIterator[Part]:
        """The upload for this writer alone; raises BlobUploadNotFound, BlobUploadBusy.

        The hash of what is in the file is carried from one request to the next, and computed again where it is not
        known, as after a restart.
        """
        part = await self._run(self._take, upload_id)
        try:
            yield part
        finally:
            await asyncio.shield(self._run(self._let_go, upload_id, part))

    async def discard(self, upload_id: str) -> None:
        """Remove an upload, if it is there."""
        self._hashes.pop(upload_id, None)
        await self._run((self._uploads / upload_id).unlink, True)

    async def list_uploads(self) -> dict[str, dt.datetime]:
        """When each upload that has a file was last written to."""

        def walk() -> dict[str, dt.datetime]:
            with os.scandir(self._uploads) as entries:
                return {entry.name: _moment(entry.stat().st_mtime) for entry in entries}

        return await self._run(walk)

    async def publish(self, upload_id: str, digest: str) -> None:
        """Make a sealed upload the blob of that digest; where there is one already, that one stays."""

        def publish() -> None:
            with _translated(), _found(upload_id):
                part, target = self._uploads / upload_id, self.path_of(digest)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if target.exists():
                    os.utime(target)
                    part.unlink()
                else:
                    part.rename(target)
                    _sync_folder(target.parent)

        self._hashes.pop(upload_id, None)
        await self._run(publish)

    async def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        return await self._run(self.path_of(digest).is_file)

    def path_of(self, digest: str) -> Path:
        """Where the blob of a well-formed digest is, if it is here."""
        algorithm, _, name = digest.partition(":")
        return self._folder / algorithm / name[:2] / name

    async def list_slices(self) -> list[str]:
        """Names of the parts that the blobs are spread over."""

        def walk() -> list[str]:
            return sorted(
                f"{algorithm}/{folder.name}"
                for algorithm in ("sha256", "sha512")
                if (self._folder / algorithm).is_dir()
                for folder in (self._folder / algorithm).iterdir()
            )

        return await self._run(walk)

    async def list_blobs(self, slice_name: str) -> list[StoredBlob]:
        """The blobs in one part."""
        algorithm = slice_name.partition("/")[0]

        def walk() -> Iterator[StoredBlob]:
            with os.scandir(self._folder / slice_name) as entries:
                for entry in entries:
                    found = entry.stat()
                    yield StoredBlob(
                        digest=f"{algorithm}:{entry.name}",
                        size_bytes=found.st_size,
                        modified_at=_moment(found.st_mtime),
                    )

        return await self._run(lambda: list(walk()))

    async def delete(self, digests: Iterable[str]) -> None:
        """Remove blobs, where they are here."""
        paths = [self.path_of(digest) for digest in digests]

        def delete() -> None:
            for path in paths:
                path.unlink(missing_ok=True)

        await self._run(delete)

    def _take(self, upload_id: str) -> Part:
        with _found(upload_id):
            descriptor = os.open(self._uploads / upload_id, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(descriptor)
            if not found.st_nlink:
                raise BlobUploadNotFound(f"cannot find upload {upload_id}: it has ended")
            kept = self._hashes.pop(upload_id, None)
            is_same = kept is not None and kept[1:] == (found.st_size, found.st_mtime_ns)
            hasher = kept[0] if kept is not None and is_same else _hash_file(descriptor, "sha256")
            return Part(descriptor, run=self._run, hasher=hasher)
        except BlockingIOError as error:
            os.close(descriptor)
            raise BlobUploadBusy(f"cannot write to upload {upload_id}: another request does") from error
        except BaseException:
            os.close(descriptor)
            raise

    def _let_go(self, upload_id: str, part: Part) -> None:
        facts = part.close()
        if (self._uploads / upload_id).exists():
            self._hashes[upload_id] = (part.hasher, *facts)
            while len(self._hashes) > _KEPT_HASHES:
                self._hashes.pop(next(iter(self._hashes)))

    def _run(self, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


def _hash_file(descriptor: int, algorithm: str) -> Any:
    hasher = hashlib.new(algorithm)
    offset = 0
    while piece := os.pread(descriptor, _PIECE_BYTES, offset):
        hasher.update(piece)
        offset += len(piece)
    return hasher


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


@contextmanager
def _found(upload_id: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobUploadNotFound(f"cannot find upload {upload_id}: it has ended or expired") from error


@contextmanager
def _translated() -> Iterator[None]:
    """Word what a disk says when it takes no more."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG}:
            raise BlobStoreFull(f"cannot store the blob: {error.strerror}", retry_after_seconds=60) from error
        raise

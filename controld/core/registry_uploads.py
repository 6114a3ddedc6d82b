"""How blobs come into the image registry: in one piece, in chunks, or from another repository."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

from controld.core.ports import Database, Transaction
from controld.core.registry_access import RegistryAccess, RepositoryName
from controld.core.registry_faults import (
    BlobTooLarge,
    BlobUploadInvalid,
    BlobUploadNotFound,
    ChunkOutOfOrder,
    DigestInvalid,
    ProjectFull,
)
from controld.core.registry_ports import LOCK, BlobFiles, Part, RegistryStore
from controld.core.registry_trail import RegistryTrail
from controld.model.caller import Caller
from controld.model.registry import Blob, BlobUpload, Repository
from controld.rules.registry import is_digest
from kit.clock import Clock
from kit.ids import Ids


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a blob as it comes, with what was said of it ahead."""

    pieces: AsyncIterator[bytes]
    size_bytes: int | None = None
    """Its announced length; None: not said."""
    span: tuple[int, int] | None = None
    """Its first and last byte in the blob; None: it goes where the upload stands."""


class RegistryUploads:
    """Takes blobs in; each becomes part of a repository only once its bytes are known to have its digest.

    An upload is a file and a row: a chunk that is cut short leaves what has come, and the pusher may go on from there;
    a wrong digest or a blob that is too large ends the upload. `max_project_bytes` (0: no limit) is the most that the
    repositories of one project hold together.
    """

    def __init__(
        self,
        database: Database,
        store: RegistryStore,
        *,
        access: RegistryAccess,
        files: BlobFiles,
        trail: RegistryTrail,
        clock: Clock,
        ids: Ids,
        max_blob_bytes: int,
        max_project_bytes: int,
    ) -> None:
        self._database = database
        self._store = store
        self._access = access
        self._files = files
        self._trail = trail
        self._clock = clock
        self._ids = ids
        self._max_blob_bytes = max_blob_bytes
        self._max_project_bytes = max_project_bytes

    async def start(self, caller: Caller, name: RepositoryName) -> str:
        """The id of a new upload."""
        upload_id = self._ids.new_id()
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            repository = await self._access.find_to_push(tx, caller, name)
            now = self._clock.now()
            repository_id = await self._store.create_repository(tx, repository, id=self._ids.new_id(), at=now)
            await self._store.create_upload(tx, BlobUpload(id=upload_id, repository_id=repository_id, touched_at=now))
            await self._files.create(upload_id)
        return upload_id

    async def mount(
        self,
        caller: Caller,
        name: RepositoryName,
        digest: str,
        *,
        source: RepositoryName | None,
        within: frozenset[str] | None = None,
    ) -> bool:
        """Let the repository hold a blob of another one that the caller may pull from; whether that could be done.

        Without a source, any such repository will do. `within` names the only repositories that count.
        """
        _check_digest(digest)
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            target = await self._access.find_to_push(tx, caller, name)
            blob = await self._find_elsewhere(tx, caller, digest, source=source, within=within)
            if blob is None or not await self._files.has(digest):
                return False
            now = self._clock.now()
            target_id = await self._store.create_repository(tx, target, id=self._ids.new_id(), at=now)
            await self._store.link_blob(tx, target_id, digest=digest, size_bytes=blob.size_bytes, at=now)
            await self._check_project(tx, target)
            await self._trail.record(tx, caller, target, action="image.upload", reference=digest)
            return True

    async def push(self, caller: Caller, name: RepositoryName, digest: str, *, chunk: Chunk) -> None:
        """Take in a whole blob in one request; after any failure nothing is left of it."""
        _check_digest(digest)
        upload_id = await self.start(caller, name)
        try:
            await self.finish(caller, name, upload_id, digest=digest, chunk=chunk)
        except BaseException:
            await self._drop(upload_id)
            raise

    async def measure(self, caller: Caller, name: RepositoryName, upload_id: str) -> int:
        """How many bytes of the upload have come."""
        async with self._database.read() as tx:
            await self._find(tx, caller, name, upload_id=upload_id)
        return await self._files.measure(upload_id)

    async def append(self, caller: Caller, name: RepositoryName, upload_id: str, *, chunk: Chunk) -> int:
        """Add a chunk; how many bytes of the upload have come by then."""
        async with self._database.read() as tx:
            await self._find(tx, caller, name, upload_id=upload_id)
        async with self._files.writing(upload_id) as part:
            try:
                await self._take(part, upload_id, chunk)
            finally:
                await self._touch(upload_id, part.offset)
            return part.offset

    async def finish(self, caller: Caller, name: RepositoryName, upload_id: str, *, digest: str, chunk: Chunk) -> None:
        """Add what is left and make the upload a blob of the repository; a wrong digest ends the upload."""
        _check_digest(digest)
        async with self._database.read() as tx:
            await self._find(tx, caller, name, upload_id=upload_id)
        async with self._files.writing(upload_id) as part:
            await self._take(part, upload_id, chunk)
            try:
                await part.seal(digest)
            except DigestInvalid:
                await self._drop(upload_id)
                raise
            try:
                await self._keep(caller, name, upload_id, digest=digest, size_bytes=part.offset)
            except ProjectFull:
                await self._drop(upload_id)
                raise

    async def cancel(self, caller: Caller, name: RepositoryName, upload_id: str) -> None:
        """End the upload; raises BlobUploadBusy while a request writes to it."""
        async with self._database.read() as tx:
            await self._find(tx, caller, name, upload_id=upload_id)
        async with self._files.writing(upload_id):
            await self._drop(upload_id)

    async def _keep(
        self, caller: Caller, name: RepositoryName, upload_id: str, *, digest: str, size_bytes: int
    ) -> None:
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            upload = await self._find(tx, caller, name, upload_id=upload_id)
            await self._store.link_blob(
                tx, upload.repository_id, digest=digest, size_bytes=size_bytes, at=self._clock.now()
            )
            repository = await self._access.find_to_push(tx, caller, name)
            await self._check_project(tx, repository)
            await self._trail.record(tx, caller, repository, action="image.upload", reference=digest)
            await self._store.delete_upload(tx, upload_id)
            await self._files.publish(upload_id, digest)

    async def _check_project(self, tx: Transaction, repository: Repository) -> None:
        limit = self._max_project_bytes
        if limit and (held := await self._store.sum_project(tx, repository.project_id)) > limit:
            raise ProjectFull(
                f"cannot take the blob: the project's images would have {held} bytes, and may have {limit}; "
                "delete some, and collect garbage"
            )

    async def _take(self, part: Part, upload_id: str, chunk: Chunk) -> None:
        start = part.offset
        if chunk.span is not None and chunk.span[0] != start:
            raise ChunkOutOfOrder(
                f"cannot take the chunk: it begins at {chunk.span[0]}, and the upload stands at {start}",
                details={"offset": start},
            )
        announced = chunk.size_bytes
        if chunk.span is not None:
            length = chunk.span[1] - chunk.span[0] + 1
            if announced is not None and announced != length:
                raise BlobUploadInvalid(f"cannot take the chunk: Content-Range says {length} bytes, not {announced}")
            announced = length
        try:
            if announced is not None and start + announced > self._max_blob_bytes:
                raise BlobTooLarge(f"cannot take the blob: it is larger than {self._max_blob_bytes} bytes")
            await part.append(chunk.pieces, limit_bytes=self._max_blob_bytes)
        except BlobTooLarge:
            await self._drop(upload_id)
            raise
        if chunk.span is not None and part.offset != chunk.span[1] + 1:
            came = part.offset - start
            await part.truncate(start)
            raise BlobUploadInvalid(f"cannot take the chunk: {came} bytes came, and Content-Range says {announced}")

    async def _find_elsewhere(
        self,
        tx: Transaction,
        caller: Caller,
        digest: str,
        *,
        source: RepositoryName | None,
        within: frozenset[str] | None,
    ) -> Blob | None:
        for holder in await self._store.list_holders(tx, digest):
            if source is not None and holder.name != str(source):
                continue
            if within is not None and holder.name not in within:
                continue
            if holder.id is not None and await self._access.may_pull(tx, caller, holder):
                return await self._store.find_blob(tx, holder.id, digest=digest)
        return None

    async def _find(self, tx: Transaction, caller: Caller, name: RepositoryName, *, upload_id: str) -> BlobUpload:
        repository = await self._access.find_to_push(tx, caller, name)
        upload = await self._store.find_upload(tx, upload_id)
        if upload is None or upload.repository_id != repository.id:
            raise BlobUploadNotFound(f"cannot find upload {upload_id} of {name}: it has ended or expired")
        return upload

    async def _touch(self, upload_id: str, received_bytes: int) -> None:
        async with self._database.write() as tx:
            await self._store.touch_upload(tx, upload_id, received_bytes=received_bytes, at=self._clock.now())

    async def _drop(self, upload_id: str) -> None:
        async with self._database.write() as tx:
            await self._store.delete_upload(tx, upload_id)
        await self._files.discard(upload_id)


def _check_digest(digest: str) -> None:
    if not is_digest(digest):
        raise DigestInvalid(f"cannot read the digest {digest[:150]!r}: say sha256: or sha512: and lowercase digits")

"""What keeps the image registry small: uploads expire, and bytes that nothing needs go."""

from __future__ import annotations

import datetime as dt
import logging

from controld.core.audit import Audit
from controld.core.ports import Database, Transaction
from controld.core.registry_faults import BlobUploadBusy, BlobUploadNotFound
from controld.core.registry_ports import LOCK, BlobFiles, RegistryStore
from controld.model.caller import Caller
from controld.model.registry import Collection, RegistryStatus, StoredBlob
from controld.rules.access import check
from controld.rules.registry_retention import find_stale
from kit.clock import Clock

_log = logging.getLogger(__name__)


class RegistryUpkeep:
    """Garbage collection and expiry; any number of controlds may run them at one time.

    A manifest leaves once nothing touched it for `unneeded_seconds` and no tag, kept artifact or replica needs it; a
    blob leaves a repository once it is older there than the grace time and no manifest of the repository names it.
    Bytes go once no repository holds or needs them and their file is older than the grace time. Uploads under way are
    not garbage; they expire when nothing has come for `expiry_seconds`.
    """

    def __init__(
        self,
        database: Database,
        store: RegistryStore,
        *,
        files: BlobFiles,
        audit: Audit,
        clock: Clock,
        grace_seconds: float,
        unneeded_seconds: float,
        expiry_seconds: float,
    ) -> None:
        self._database = database
        self._store = store
        self._files = files
        self._audit = audit
        self._clock = clock
        self._grace = dt.timedelta(seconds=grace_seconds)
        self._unneeded = dt.timedelta(seconds=unneeded_seconds)
        self._expiry = dt.timedelta(seconds=expiry_seconds)

    async def get_status(self, caller: Caller) -> RegistryStatus:
        """Sums over all projects, for whoever has a role in one."""
        check(caller, "registry.status")
        return await self._read_status()

    async def collect_for(self, caller: Caller) -> RegistryStatus:
        """Collect garbage now, and the sums after it."""
        check(caller, "registry.collect")
        async with self._database.write() as tx:
            await self._audit.record(tx, caller, action="registry.collect", object_kind="registry")
        await self.collect()
        return await self._read_status()

    async def last_collected_at(self) -> dt.datetime | None:
        """When garbage was last collected by any process."""
        async with self._database.read() as tx:
            last = await self._store.find_collection(tx)
        return None if last is None else last.at

    async def collect(self) -> Collection:
        """Remove what nothing needs, slice by slice, so that pushes go on meanwhile."""
        began = self._clock.now()
        before = began - self._grace
        manifests = await self._drop_manifests(began - self._unneeded)
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            await self._store.unlink_unused(tx, before=before)
        scanned = deleted = deleted_bytes = 0
        for name in await self._files.list_slices():
            blobs = await self._files.list_blobs(name)
            scanned += len(blobs)
            gone = await self._delete_unneeded([each for each in blobs if each.modified_at < before])
            deleted += len(gone)
            deleted_bytes += sum(each.size_bytes for each in gone)
        done = Collection(
            at=began,
            scanned_blobs=scanned,
            deleted_blobs=deleted,
            deleted_bytes=deleted_bytes,
            deleted_manifests=manifests,
        )
        async with self._database.write() as tx:
            await self._store.save_collection(tx, done)
        _log.info("registry garbage collected", extra={"deleted_blobs": deleted, "deleted_bytes": deleted_bytes})
        return done

    async def expire_uploads(self) -> int:
        """End uploads that nothing has come for, and remove files that no upload knows; how many."""
        before = self._clock.now() - self._expiry
        written = await self._files.list_uploads()
        async with self._database.read() as tx:
            known = {each.id: each.touched_at for each in await self._store.list_uploads(tx)}
        ended = 0
        for upload_id, touched_at in known.items():
            if max(touched_at, written.get(upload_id, touched_at)) < before:
                ended += await self._end(upload_id)
        orphans = self._clock.now() - min(self._grace, self._expiry)
        for upload_id in [each for each, at in written.items() if each not in known and at < orphans]:
            ended += await self._end(upload_id)
        return ended

    async def _drop_manifests(self, before: dt.datetime) -> int:
        """Forget manifests that have outlived their use, a repository at a time; how many."""
        async with self._database.read() as tx:
            aged = await self._store.list_aged(tx, before=before)
        dropped = 0
        for repository_id in aged:
            async with self._database.write() as tx:
                await tx.lock(LOCK)
                stale = find_stale(await self._store.list_held(tx, repository_id), before=before)
                for digest in stale:
                    await self._store.delete_manifest(tx, repository_id, digest=digest)
            dropped += len(stale)
        return dropped

    async def _end(self, upload_id: str) -> bool:
        try:
            async with self._files.writing(upload_id):
                await self._forget(upload_id)
                await self._files.discard(upload_id)
        except BlobUploadBusy:
            return False
        except BlobUploadNotFound:
            await self._forget(upload_id)
        return True

    async def _forget(self, upload_id: str) -> None:
        async with self._database.write() as tx:
            await self._store.delete_upload(tx, upload_id)

    async def _delete_unneeded(self, blobs: list[StoredBlob]) -> list[StoredBlob]:
        async with self._database.read() as tx:
            candidates = await self._not_needed(tx, blobs)
        if not candidates:
            return []
        async with self._database.write() as tx:
            await tx.lock(LOCK)
            gone = await self._not_needed(tx, candidates)
            await self._files.delete([each.digest for each in gone])
        return gone

    async def _not_needed(self, tx: Transaction, blobs: list[StoredBlob]) -> list[StoredBlob]:
        needed = await self._store.find_needed(tx, [each.digest for each in blobs])
        return [each for each in blobs if each.digest not in needed]

    async def _read_status(self) -> RegistryStatus:
        async with self._database.read() as tx:
            return RegistryStatus(totals=await self._store.find_totals(tx), last=await self._store.find_collection(tx))

"""Uploads: a build context is received for a service and waits for its deployment."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Final

from controld.core.faults import ServiceNotFound, TooManyUploads, UploadTooLarge
from controld.core.ports import Database, Transaction
from controld.core.ports_deployments import (
    AuditTrail,
    DeploymentStore,
    LaunchStore,
    UploadFiles,
    UploadStore,
)
from controld.model.caller import Caller
from controld.model.deployment import UploadRequest
from controld.model.launch import Launch
from controld.model.upload import Upload
from controld.rules.access import check
from kit.clock import Clock
from kit.ids import Ids

_ABANDONED_AFTER_SECONDS: Final = 3600.0


class Uploads:
    """Receives uploads and drops those whose time is over."""

    def __init__(
        self,
        *,
        database: Database,
        uploads: UploadStore,
        files: UploadFiles,
        deployments: DeploymentStore,
        launches: LaunchStore,
        audit: AuditTrail,
        clock: Clock,
        ids: Ids,
        max_bytes: int,
        lifetime_seconds: float,
        at_once: int,
    ) -> None:
        self._database = database
        self._uploads = uploads
        self._files = files
        self._deployments = deployments
        self._launches = launches
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._max_bytes = max_bytes
        self._lifetime = dt.timedelta(seconds=lifetime_seconds)
        self._at_once = at_once
        self._receiving = 0

    async def admit(self, caller: Caller, service_id: str, *, announced_bytes: int | None) -> None:
        """Return when the caller may upload so much for the service; to be asked before the body is taken.

        Raises ServiceNotFound, UploadTooLarge and TooManyUploads.
        """
        async with self._database.read() as tx:
            await self._find_service(tx, caller, service_id)
        if announced_bytes is not None and announced_bytes > self._max_bytes:
            raise UploadTooLarge(f"cannot take upload: it has {announced_bytes} bytes, {self._max_bytes} are the most")
        if self._receiving >= self._at_once:
            raise TooManyUploads(f"cannot take upload: {self._at_once} are arriving", retry_after_seconds=5)

    async def create(self, caller: Caller, service_id: str, chunks: AsyncIterator[bytes]) -> Upload:
        """Receive and check an archive; on any failure nothing of it is left. Raises the archive's faults."""
        upload_id = self._ids.new_id()
        self._receiving += 1
        try:
            summary = await self._files.receive(upload_id, chunks)
        finally:
            self._receiving -= 1
        now = self._clock.now()
        upload = Upload(
            id=upload_id,
            service_id=service_id,
            sha256=summary.sha256,
            size_bytes=summary.compressed_bytes,
            uncompressed_bytes=summary.uncompressed_bytes,
            entries=summary.entries,
            created_at=now,
            expires_at=now + self._lifetime,
        )
        try:
            async with self._database.write() as tx:
                launch = await self._find_service(tx, caller, service_id)
                await self._uploads.insert(tx, upload)
                await self._audit.record(
                    tx,
                    caller,
                    action="upload.create",
                    object_kind="upload",
                    object_id=upload.id,
                    project_id=launch.project_id,
                    details={"service_id": service_id, "size_bytes": upload.size_bytes, "sha256": upload.sha256},
                )
        except BaseException:
            await self._files.remove(upload_id)
            raise
        return upload

    async def sweep(self) -> int:
        """Drop expired uploads and files that no upload names any more; how many archives went.

        What an unfinished deployment names stays until that has ended.
        """
        now = self._clock.now()
        async with self._database.write() as tx:
            unfinished = await self._deployments.list_unfinished(tx)
            named = {each.request.upload_id for each in unfinished if isinstance(each.request, UploadRequest)}
            expired = [each.id for each in await self._uploads.list_expired(tx, now) if each.id not in named]
            for upload_id in expired:
                await self._uploads.delete(tx, upload_id)
            kept = await self._uploads.list_ids(tx)
        abandoned = await self._files.list_settled(older_than_seconds=_ABANDONED_AFTER_SECONDS)
        dropped = {*expired, *(abandoned - kept)}
        for upload_id in dropped:
            await self._files.remove(upload_id)
        return len(dropped)

    async def _find_service(self, tx: Transaction, caller: Caller, service_id: str) -> Launch:
        missing = ServiceNotFound("service not found")
        launch = await self._launches.find(tx, service_id)
        if launch is None:
            raise missing
        check(caller, "upload.create", project_id=launch.project_id, missing=missing)
        return launch

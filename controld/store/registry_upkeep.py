"""Rows of the image registry that come and go: uploads under way, and what garbage collection asks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection as Several
from typing import Final

from sqlalchemy import delete, exists, insert, select, union, update

from controld.core.ports import Transaction
from controld.model.registry import BlobUpload, Collection
from controld.store.tables import blob_uploads, facts, manifest_references, manifests, repository_blobs

_BATCH: Final = 500
_LAST: Final = "registry_collection"


class RegistryUpkeep:
    """Uploads, unused blobs and the memory of the last garbage collection."""

    async def create_upload(self, tx: Transaction, upload: BlobUpload) -> None:
        await tx.execute(
            insert(blob_uploads).values(
                id=upload.id,
                repository_id=upload.repository_id,
                received_bytes=0,
                created_at=upload.touched_at,
                touched_at=upload.touched_at,
            )
        )

    async def find_upload(self, tx: Transaction, upload_id: str) -> BlobUpload | None:
        row = (await tx.execute(select(blob_uploads).where(blob_uploads.c.id == upload_id))).first()
        if row is None:
            return None
        return BlobUpload(id=row.id, repository_id=row.repository_id, touched_at=row.touched_at)

    async def touch_upload(self, tx: Transaction, upload_id: str, *, received_bytes: int, at: dt.datetime) -> None:
        await tx.execute(
            update(blob_uploads)
            .where(blob_uploads.c.id == upload_id)
            .values(received_bytes=received_bytes, touched_at=at)
        )

    async def delete_upload(self, tx: Transaction, upload_id: str) -> bool:
        gone = await tx.execute(delete(blob_uploads).where(blob_uploads.c.id == upload_id))
        return bool(gone.rowcount)

    async def list_uploads(self, tx: Transaction) -> list[BlobUpload]:
        return [
            BlobUpload(id=row.id, repository_id=row.repository_id, touched_at=row.touched_at)
            for row in await tx.execute(select(blob_uploads))
        ]

    async def unlink_unused(self, tx: Transaction, *, before: dt.datetime) -> int:
        is_needed = exists().where(
            manifest_references.c.repository_id == repository_blobs.c.repository_id,
            manifest_references.c.digest == repository_blobs.c.digest,
        )
        gone = await tx.execute(delete(repository_blobs).where(repository_blobs.c.created_at < before, ~is_needed))
        return int(gone.rowcount)

    async def find_needed(self, tx: Transaction, digests: Several[str]) -> set[str]:
        asked, needed = list(digests), set[str]()
        for start in range(0, len(asked), _BATCH):
            piece = asked[start : start + _BATCH]
            held = (repository_blobs, manifest_references, manifests)
            found = await tx.execute(
                union(*(select(table.c.digest).where(table.c.digest.in_(piece)) for table in held))
            )
            needed.update(found.scalars())
        return needed

    async def save_collection(self, tx: Transaction, collection: Collection) -> None:
        value = {
            "at": collection.at.isoformat(),
            "scanned_blobs": collection.scanned_blobs,
            "deleted_blobs": collection.deleted_blobs,
            "deleted_bytes": collection.deleted_bytes,
        }
        known = await tx.execute(update(facts).where(facts.c.name == _LAST).values(value=value))
        if not known.rowcount:
            await tx.execute(insert(facts).values(name=_LAST, value=value))

    async def find_collection(self, tx: Transaction) -> Collection | None:
        value = (await tx.execute(select(facts.c.value).where(facts.c.name == _LAST))).scalar()
        if value is None:
            return None
        return Collection(
            at=dt.datetime.fromisoformat(value["at"]),
            scanned_blobs=value["scanned_blobs"],
            deleted_blobs=value["deleted_blobs"],
            deleted_bytes=value["deleted_bytes"],
        )

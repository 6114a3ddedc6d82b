"""Rows of the image registry that come and go: uploads under way, and what garbage collection asks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection as Several
from typing import Final

from sqlalchemy import delete, exists, func, insert, select, union, update

from controld.core.ports import Transaction
from controld.model.registry import BlobUpload, Collection, HeldManifest
from controld.rules.registry_retention import is_tag_of_a_build
from controld.store.tables import (
    artifacts,
    blob_uploads,
    facts,
    manifest_references,
    manifests,
    replicas,
    repositories,
    repository_blobs,
    services,
    tags,
)

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

    async def list_aged(self, tx: Transaction, *, before: dt.datetime) -> list[str]:
        found = await tx.execute(select(manifests.c.repository_id).where(manifests.c.touched_at < before).distinct())
        return sorted(found.scalars())

    async def list_held(self, tx: Transaction, repository_id: str) -> list[HeldManifest]:
        children: dict[str, set[str]] = {}
        here = manifest_references.c.repository_id == repository_id
        for row in await tx.execute(select(manifest_references.c.manifest, manifest_references.c.digest).where(here)):
            children.setdefault(row.manifest, set()).add(row.digest)
        needed = await _find_run(tx)
        for row in await tx.execute(select(tags.c.name, tags.c.digest).where(tags.c.repository_id == repository_id)):
            if not is_tag_of_a_build(row.name):
                needed.add(row.digest)
        found = await tx.execute(
            select(manifests.c.digest, manifests.c.subject, manifests.c.touched_at).where(
                manifests.c.repository_id == repository_id
            )
        )
        return [
            HeldManifest(
                digest=row.digest,
                subject=row.subject,
                children=frozenset(children.get(row.digest, ())),
                is_needed=row.digest in needed,
                touched_at=row.touched_at,
            )
            for row in found
        ]

    async def sum_project(self, tx: Transaction, project_id: str) -> int:
        each_once = (
            select(repository_blobs.c.digest, repository_blobs.c.size_bytes)
            .join(repositories, repositories.c.id == repository_blobs.c.repository_id)
            .join(services, services.c.id == repositories.c.service_id)
            .where(services.c.project_id == project_id)
            .distinct()
            .subquery()
        )
        return int((await tx.execute(select(func.coalesce(func.sum(each_once.c.size_bytes), 0)))).scalar_one())

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
            "deleted_manifests": collection.deleted_manifests,
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
            deleted_manifests=value.get("deleted_manifests", 0),
        )


async def _find_run(tx: Transaction) -> set[str]:
    """Digests of images that are kept to be run, of any service: artifacts, and what replicas were made with."""
    kept = set((await tx.execute(select(artifacts.c.digest).distinct())).scalars())
    for config in (await tx.execute(select(replicas.c.config))).scalars():
        kept.add(str(config["image"]).rpartition("@")[2])
    return kept

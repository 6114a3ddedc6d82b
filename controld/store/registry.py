"""Rows of the image registry: repositories, their manifests, tags and blobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, exists, func, insert, select, update

from controld.core.ports import Transaction
from controld.model.registry import (
    Blob,
    Manifest,
    ManifestFacts,
    NodeClaims,
    RegistryTotals,
    Repository,
    RepositoryView,
    Tag,
)
from controld.rules.registry_names import find_id_end, make_repository_name
from controld.store.registry_upkeep import RegistryUpkeep
from controld.store.tables import (
    deployments,
    manifest_references,
    manifests,
    projects,
    replicas,
    repositories,
    repository_blobs,
    services,
    tags,
)

_BATCH = 500


class RegistryStore(RegistryUpkeep):
    """Repositories and what they hold, with their uploads and upkeep."""

    async def find_repository(self, tx: Transaction, project: str, *, service: str) -> Repository | None:
        wanted = _repositories().where(_called(projects, project), _called(services, service))
        found = [_repository(row) for row in await tx.execute(wanted)]
        return next((each for each in found if each.name == f"{project}/{service}"), None)

    async def create_repository(self, tx: Transaction, repository: Repository, *, id: str, at: dt.datetime) -> str:
        found = await tx.execute(select(repositories.c.id).where(repositories.c.service_id == repository.service_id))
        known: str | None = found.scalar()
        if known is not None:
            return known
        await tx.execute(insert(repositories).values(id=id, service_id=repository.service_id, created_at=at))
        return id

    async def find_node_claims(self, tx: Transaction, node_id: str, *, service_id: str) -> NodeClaims:
        on_node = (deployments.c.node_id == node_id, deployments.c.service_id == service_id)
        runs = exists().where(replicas.c.node_id == node_id, replicas.c.service_id == service_id)
        under_way = exists().where(*on_node, deployments.c.status.in_(["Building", "Starting"]))
        builds = exists().where(*on_node, deployments.c.status == "Building")
        row = (await tx.execute(select(runs | under_way, builds))).one()
        return NodeClaims(runs=bool(row[0]), builds=bool(row[1]))

    async def list_repositories(self, tx: Transaction) -> list[RepositoryView]:
        wanted = _repositories().where(repositories.c.id.is_not(None))
        found = [_repository(row) for row in await tx.execute(wanted.order_by(projects.c.name, services.c.name))]
        by_id: dict[str | None, list[Tag]] = {each.id: [] for each in found}
        ids = [each.id for each in found]
        for start in range(0, len(ids), _BATCH):
            for row in await tx.execute(_tags_with_size(ids[start : start + _BATCH])):
                by_id[row.repository_id].append(
                    Tag(name=row.name, digest=row.digest, size_bytes=int(row.size_bytes), updated_at=row.updated_at)
                )
        return [RepositoryView(repository=each, tags=tuple(by_id[each.id])) for each in found]

    async def list_names(self, tx: Transaction, *, reach: Collection[str] | None) -> list[str]:
        wanted = _repositories().where(repositories.c.id.is_not(None))
        if reach is not None:
            wanted = wanted.where(services.c.project_id.in_(sorted(reach)))
        return sorted(_repository(row).name for row in await tx.execute(wanted))

    async def find_totals(self, tx: Transaction) -> RegistryTotals:
        count = (await tx.execute(select(func.count()).select_from(repositories))).scalar_one()
        each_once = select(repository_blobs.c.digest, repository_blobs.c.size_bytes).distinct().subquery()
        sums = (
            await tx.execute(
                select(func.count(), func.coalesce(func.sum(each_once.c.size_bytes), 0)).select_from(each_once)
            )
        ).one()
        return RegistryTotals(repositories=count, blobs=sums[0], total_bytes=int(sums[1]))

    async def link_blob(
        self, tx: Transaction, repository_id: str, *, digest: str, size_bytes: int, at: dt.datetime
    ) -> None:
        known = await tx.execute(
            update(repository_blobs)
            .where(repository_blobs.c.repository_id == repository_id, repository_blobs.c.digest == digest)
            .values(created_at=at)
        )
        if not known.rowcount:
            await tx.execute(
                insert(repository_blobs).values(
                    repository_id=repository_id, digest=digest, size_bytes=size_bytes, created_at=at
                )
            )

    async def find_blob(self, tx: Transaction, repository_id: str, *, digest: str) -> Blob | None:
        found = await tx.execute(
            select(repository_blobs.c.size_bytes, repository_blobs.c.created_at).where(
                repository_blobs.c.repository_id == repository_id, repository_blobs.c.digest == digest
            )
        )
        row = found.first()
        return None if row is None else Blob(digest=digest, size_bytes=row.size_bytes, linked_at=row.created_at)

    async def list_holders(self, tx: Transaction, digest: str) -> list[Repository]:
        wanted = _repositories().join(
            repository_blobs,
            (repository_blobs.c.repository_id == repositories.c.id) & (repository_blobs.c.digest == digest),
        )
        return sorted((_repository(row) for row in await tx.execute(wanted)), key=lambda each: each.name)

    async def unlink_blob(self, tx: Transaction, repository_id: str, *, digest: str) -> bool:
        gone = await tx.execute(
            delete(repository_blobs).where(
                repository_blobs.c.repository_id == repository_id, repository_blobs.c.digest == digest
            )
        )
        return bool(gone.rowcount)

    async def find_missing(self, tx: Transaction, repository_id: str, *, facts: ManifestFacts) -> list[str]:
        blobs = await _held(tx, repository_blobs, repository_id=repository_id, digests=facts.blobs)
        below = await _held(tx, manifests, repository_id=repository_id, digests=facts.manifests)
        return sorted((facts.blobs - blobs) | (facts.manifests - below))

    async def save_manifest(
        self, tx: Transaction, repository_id: str, *, manifest: Manifest, facts: ManifestFacts, at: dt.datetime
    ) -> None:
        known = await tx.execute(
            update(manifests)
            .where(manifests.c.repository_id == repository_id, manifests.c.digest == manifest.digest)
            .values(media_type=manifest.media_type, touched_at=at)
        )
        if known.rowcount:
            return
        await tx.execute(
            insert(manifests).values(
                repository_id=repository_id,
                digest=manifest.digest,
                media_type=manifest.media_type,
                size_bytes=manifest.size_bytes,
                subject=manifest.subject,
                artifact_type=manifest.artifact_type,
                annotations=manifest.annotations,
                touched_at=at,
            )
        )
        if needed := sorted(facts.blobs | facts.manifests):
            await tx.execute(
                insert(manifest_references),
                [{"repository_id": repository_id, "manifest": manifest.digest, "digest": digest} for digest in needed],
            )

    async def find_manifest(self, tx: Transaction, repository_id: str, *, digest: str) -> Manifest | None:
        found = await tx.execute(
            select(manifests).where(manifests.c.repository_id == repository_id, manifests.c.digest == digest)
        )
        row = found.first()
        return None if row is None else _manifest(row)

    async def find_tagged(self, tx: Transaction, repository_id: str, *, tag: str) -> Manifest | None:
        found = await tx.execute(
            select(manifests)
            .join(tags, (tags.c.repository_id == manifests.c.repository_id) & (tags.c.digest == manifests.c.digest))
            .where(tags.c.repository_id == repository_id, tags.c.name == tag)
        )
        row = found.first()
        return None if row is None else _manifest(row)

    async def touch_manifest(self, tx: Transaction, repository_id: str, *, digest: str, at: dt.datetime) -> None:
        await tx.execute(
            update(manifests)
            .where(manifests.c.repository_id == repository_id, manifests.c.digest == digest)
            .values(touched_at=at)
        )

    async def delete_manifest(self, tx: Transaction, repository_id: str, *, digest: str) -> bool:
        await tx.execute(delete(tags).where(tags.c.repository_id == repository_id, tags.c.digest == digest))
        gone = await tx.execute(
            delete(manifests).where(manifests.c.repository_id == repository_id, manifests.c.digest == digest)
        )
        return bool(gone.rowcount)

    async def set_tag(self, tx: Transaction, repository_id: str, *, tag: str, digest: str, at: dt.datetime) -> None:
        this = (tags.c.repository_id == repository_id, tags.c.name == tag)
        before = (await tx.execute(select(tags.c.digest).where(*this))).scalar()
        if before is not None:
            await tx.execute(update(tags).where(*this).values(digest=digest, updated_at=at))
            await self.touch_manifest(tx, repository_id, digest=before, at=at)
        else:
            await tx.execute(insert(tags).values(repository_id=repository_id, name=tag, digest=digest, updated_at=at))

    async def delete_tag(self, tx: Transaction, repository_id: str, *, tag: str, at: dt.datetime) -> bool:
        this = (tags.c.repository_id == repository_id, tags.c.name == tag)
        digest = (await tx.execute(select(tags.c.digest).where(*this))).scalar()
        if digest is None:
            return False
        await tx.execute(delete(tags).where(*this))
        await self.touch_manifest(tx, repository_id, digest=digest, at=at)
        return True

    async def list_tags(self, tx: Transaction, repository_id: str, *, after: str, limit: int) -> list[str]:
        found = await tx.execute(
            select(tags.c.name)
            .where(tags.c.repository_id == repository_id, tags.c.name > after)
            .order_by(tags.c.name)
            .limit(limit)
        )
        return list(found.scalars())

    async def list_referrers(
        self, tx: Transaction, repository_id: str, *, subject: str, artifact_type: str | None, after: str, limit: int
    ) -> list[Manifest]:
        wanted = select(manifests).where(
            manifests.c.repository_id == repository_id, manifests.c.subject == subject, manifests.c.digest > after
        )
        if artifact_type is not None:
            wanted = wanted.where(manifests.c.artifact_type == artifact_type)
        return [_manifest(row) for row in await tx.execute(wanted.order_by(manifests.c.digest).limit(limit))]


def _repositories() -> Any:
    return (
        select(
            projects.c.id.label("project_id"),
            projects.c.name.label("project"),
            services.c.id.label("service_id"),
            services.c.name.label("service"),
            repositories.c.id.label("repository_id"),
        )
        .join_from(services, projects, services.c.project_id == projects.c.id)
        .outerjoin(repositories, repositories.c.service_id == services.c.id)
    )


def _tags_with_size(repository_ids: list[str | None]) -> Any:
    parts = (
        select(func.coalesce(func.sum(repository_blobs.c.size_bytes), 0))
        .join(
            manifest_references,
            (manifest_references.c.repository_id == repository_blobs.c.repository_id)
            & (manifest_references.c.digest == repository_blobs.c.digest),
        )
        .where(
            manifest_references.c.repository_id == tags.c.repository_id, manifest_references.c.manifest == tags.c.digest
        )
        .correlate(tags)
        .scalar_subquery()
    )
    return (
        select(
            tags.c.repository_id,
            tags.c.name,
            tags.c.digest,
            tags.c.updated_at,
            (manifests.c.size_bytes + parts).label("size_bytes"),
        )
        .join(manifests, (manifests.c.repository_id == tags.c.repository_id) & (manifests.c.digest == tags.c.digest))
        .where(tags.c.repository_id.in_(repository_ids))
        .order_by(tags.c.repository_id, tags.c.name)
    )


async def _held(tx: Transaction, table: Any, *, repository_id: str, digests: Collection[str]) -> set[str]:
    held: set[str] = set()
    wanted = sorted(digests)
    for start in range(0, len(wanted), _BATCH):
        found = await tx.execute(
            select(table.c.digest).where(
                table.c.repository_id == repository_id, table.c.digest.in_(wanted[start : start + _BATCH])
            )
        )
        held.update(found.scalars())
    return held


def _called(table: Any, part: str) -> Any:
    """Rows of projects or services that this part of a repository's name can mean."""
    end = find_id_end(part)
    return table.c.name == part if end is None else table.c.id.like(f"%{end}")


def _repository(row: Any) -> Repository:
    return Repository(
        name=make_repository_name(row.project, row.service, project_id=row.project_id, service_id=row.service_id),
        project_id=row.project_id,
        project=row.project,
        service_id=row.service_id,
        service=row.service,
        id=row.repository_id,
    )


def _manifest(row: Any) -> Manifest:
    return Manifest(
        digest=row.digest,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        subject=row.subject,
        artifact_type=row.artifact_type,
        annotations=row.annotations,
        touched_at=row.touched_at,
    )

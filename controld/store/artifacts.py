"""Artifacts as rows."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, delete, insert, select

from controld.core.ports import Transaction
from controld.model.artifact import Artifact, ArtifactKind, ArtifactSource
from controld.model.deployment import UNFINISHED
from controld.store.tables import artifacts, deployments, services
from wire.spec import Origin


class ArtifactStore:
    """Reads and writes artifacts."""

    async def insert(self, tx: Transaction, artifact: Artifact) -> None:
        """Keep a new artifact."""
        await tx.execute(
            insert(artifacts).values(
                id=artifact.id,
                service_id=artifact.service_id,
                digest=artifact.digest,
                kind=artifact.kind.value,
                source=msgspec.to_builtins(artifact.source),
                origin=artifact.origin.value,
                image=artifact.image,
                node_id=artifact.node_id,
                size_bytes=artifact.size_bytes,
                created_at=artifact.created_at,
            )
        )

    async def find(self, tx: Transaction, artifact_id: str) -> Artifact | None:
        """The artifact, or None."""
        row = (await tx.execute(select(artifacts).where(artifacts.c.id == artifact_id))).first()
        return None if row is None else to_record(row)

    async def find_of_deployment(self, tx: Transaction, deployment_id: str) -> Artifact | None:
        """The artifact that a deployment runs, or None."""
        row = (
            await tx.execute(
                select(artifacts)
                .join(deployments, deployments.c.artifact_id == artifacts.c.id)
                .where(deployments.c.id == deployment_id)
            )
        ).first()
        return None if row is None else to_record(row)

    async def list_images(self, tx: Transaction) -> list[Artifact]:
        """Every artifact that is kept, one of each image."""
        found = {(row.origin, row.image): row for row in await tx.execute(select(artifacts).order_by(artifacts.c.id))}
        return [to_record(row) for row in found.values()]

    async def prune(self, tx: Transaction, service_id: str, *, keep: int) -> None:
        """Drop all but the newest `keep` of a service; what is promoted or about to run stays."""
        in_use = select(deployments.c.artifact_id).where(
            deployments.c.service_id == service_id,
            deployments.c.artifact_id.is_not(None),
            deployments.c.status.in_([status.value for status in UNFINISHED]),
        )
        promoted = (
            select(deployments.c.artifact_id)
            .join(services, services.c.promoted_deployment_id == deployments.c.id)
            .where(services.c.id == service_id, deployments.c.artifact_id.is_not(None))
        )
        ids = (
            (
                await tx.execute(
                    select(artifacts.c.id)
                    .where(artifacts.c.service_id == service_id)
                    .order_by(artifacts.c.created_at.desc(), artifacts.c.id.desc())
                )
            )
            .scalars()
            .all()
        )
        if older := ids[keep:]:
            await tx.execute(
                delete(artifacts).where(
                    artifacts.c.id.in_(older), artifacts.c.id.not_in(in_use), artifacts.c.id.not_in(promoted)
                )
            )


def to_record(row: Row[Any]) -> Artifact:
    """The artifact that a row says."""
    return Artifact(
        id=row.id,
        service_id=row.service_id,
        digest=row.digest,
        kind=ArtifactKind(row.kind),
        source=msgspec.convert(row.source, ArtifactSource),
        origin=Origin(row.origin),
        image=row.image,
        node_id=row.node_id,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
    )

"""Rows that say what is deployed, for tests of the image registry."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import delete, insert

from controld.core.registry_access import RepositoryName
from controld.store.engine import Database
from controld.store.tables import artifacts, deployments, nodes, replicas
from kit.ids import SystemIds
from tests.registry import NODE_ID, SERVICE_IDS, WEB

_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


async def add_node(database: Database) -> None:
    """The node that is called NODE."""
    async with database.write() as tx:
        await tx.execute(
            insert(nodes).values(
                id=NODE_ID,
                name="n1",
                state="ready",
                labels={},
                address="192.0.2.1",
                port=7190,
                certificate_serial="1",
                certificate_expires_at=_AT,
                created_at=_AT,
            )
        )


async def add_deployment(database: Database, status: str, *, node_id: str = NODE_ID) -> str:
    """The id of a deployment of WEB."""
    deployment_id = SystemIds().new_id()
    async with database.write() as tx:
        await tx.execute(
            insert(deployments).values(
                id=deployment_id,
                service_id=SERVICE_IDS[WEB],
                number=1,
                request={"source": "redeploy"},
                status=status,
                node_id=node_id,
                created_at=_AT,
                phase_at=_AT,
                attempts=0,
            )
        )
    return deployment_id


async def add_replica(database: Database, deployment_id: str, *, image: str) -> None:
    """A replica of WEB on NODE that was made with this image."""
    async with database.write() as tx:
        await tx.execute(
            insert(replicas).values(
                id=SystemIds().new_id(),
                service_id=SERVICE_IDS[WEB],
                deployment_id=deployment_id,
                node_id=NODE_ID,
                index=0,
                config={"image": image},
                wanted="running",
                created_at=_AT,
            )
        )


async def keep_artifact(database: Database, digest: str, *, name: RepositoryName = WEB) -> None:
    """An artifact of the service with this image."""
    async with database.write() as tx:
        await tx.execute(
            insert(artifacts).values(
                id=SystemIds().new_id(),
                service_id=SERVICE_IDS[name],
                digest=digest,
                kind="OciImage",
                source={"type": "uploaded_context"},
                origin="hosted",
                image=f"{name}@{digest}",
                created_at=_AT,
            )
        )


async def drop_artifacts(database: Database) -> None:
    """Keep none any more."""
    async with database.write() as tx:
        await tx.execute(delete(artifacts))

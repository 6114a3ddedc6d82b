"""Deployments as rows, and the lease under which their steps are taken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, and_, func, insert, literal, or_, select, update

from controld.core.ports import Transaction
from controld.model.artifact import Artifact
from controld.model.deployment import UNFINISHED, Deployment, DeploymentRequest, Status
from controld.model.page import Page
from controld.store import artifacts
from controld.store.leases import LeasedRows
from controld.store.tables import Moment, deployments, services
from controld.store.tables import artifacts as artifacts_table

_others = deployments.alias()
_UNFINISHED = sorted(status.value for status in UNFINISHED)


class DeploymentStore(LeasedRows[Deployment]):
    """Reads and writes deployments."""

    def __init__(self) -> None:
        super().__init__(deployments, unfinished=deployments.c.status.in_(_UNFINISHED))

    async def insert(self, tx: Transaction, deployment: Deployment) -> None:
        """Keep a new deployment."""
        await tx.execute(insert(deployments).values(**_to_values(deployment)))
        tx.announce("deployment", deployment.id)

    async def next_number(self, tx: Transaction, service_id: str) -> int:
        """The number that the service's next deployment gets; the transaction holds it for itself."""
        await tx.lock(f"deployments of {service_id}")
        highest = await tx.execute(select(func.max(deployments.c.number)).where(deployments.c.service_id == service_id))
        return (highest.scalar_one() or 0) + 1

    async def find(self, tx: Transaction, deployment_id: str, /) -> Deployment | None:
        """The deployment, or None."""
        row = (await tx.execute(select(deployments).where(deployments.c.id == deployment_id))).first()
        return None if row is None else _to_record(row)

    async def find_with_artifact(
        self, tx: Transaction, deployment_id: str
    ) -> tuple[Deployment, Artifact | None] | None:
        """The deployment with the artifact that it runs."""
        found = await self._select_with_artifacts(tx, deployments.c.id == deployment_id)
        return found[0] if found else None

    async def list_of_service(
        self, tx: Transaction, service_id: str, *, page: Page | None = None
    ) -> list[tuple[Deployment, Artifact | None]]:
        """The service's deployments with their artifacts, newest first: all, or a page and one more."""
        where = deployments.c.service_id == service_id
        if page is not None and page.before is not None:
            last = select(deployments.c.number).where(where, deployments.c.id == page.before)
            where = and_(where, deployments.c.number < last.scalar_subquery())
        return await self._select_with_artifacts(tx, where, most=None if page is None else page.limit + 1)

    async def list_current(self, tx: Transaction, *, projects: Collection[str] | None = None) -> list[Deployment]:
        """For each service the promoted deployment, or the newest while none is; with `projects`, of those in these."""
        newest = select(func.max(_others.c.number)).where(_others.c.service_id == services.c.id).scalar_subquery()
        promoted = services.c.promoted_deployment_id
        statement = (
            select(deployments)
            .join(services, services.c.id == deployments.c.service_id)
            .where(or_(deployments.c.id == promoted, and_(promoted.is_(None), deployments.c.number == newest)))
        )
        if projects is not None:
            statement = statement.where(services.c.project_id.in_(projects))
        return [_to_record(row) for row in await tx.execute(statement)]

    async def list_unfinished(self, tx: Transaction) -> list[Deployment]:
        """Every deployment with a step left, the oldest of each service ahead of its others."""
        rows = await tx.execute(
            select(deployments)
            .where(deployments.c.status.in_(_UNFINISHED))
            .order_by(deployments.c.created_at, deployments.c.number)
        )
        return [_to_record(row) for row in rows]

    async def change(self, tx: Transaction, deployment: Deployment, *, owner: str, **changes: Any) -> bool:
        """Write columns while the lease is still the owner's and the status is the one given; whether it was."""
        changed = await tx.execute(
            update(deployments)
            .where(self._is_owned(deployment.id, owner), deployments.c.status == deployment.status.value)
            .values(**changes)
        )
        tx.announce("deployment", deployment.id)
        return bool(changed.rowcount == 1)

    async def request_cancel(self, tx: Transaction, deployment_id: str, *, at: dt.datetime, reason: str) -> bool:
        """Ask for its end; whether a step was left to be taken. The first to ask gives the reason."""
        asked = await tx.execute(
            update(deployments)
            .where(deployments.c.id == deployment_id, deployments.c.status.in_(_UNFINISHED))
            .values(
                cancel_requested_at=func.coalesce(deployments.c.cancel_requested_at, literal(at, Moment)),
                reason=func.coalesce(deployments.c.reason, reason),
            )
        )
        tx.announce("deployment", deployment_id)
        return bool(asked.rowcount == 1)

    async def retire(self, tx: Transaction, service_id: str, *, status: Status, but: str | None = None) -> None:
        """Give the service's healthy deployments, except `but`, this status."""
        healthy = and_(
            deployments.c.service_id == service_id,
            deployments.c.status == Status.HEALTHY.value,
            deployments.c.id != (but or ""),
        )
        ids = (await tx.execute(select(deployments.c.id).where(healthy))).scalars().all()
        if ids:
            await tx.execute(update(deployments).where(deployments.c.id.in_(ids)).values(status=status.value))
            tx.announce("deployment", *ids)

    async def _select_with_artifacts(
        self, tx: Transaction, where: Any, *, most: int | None = None
    ) -> list[tuple[Deployment, Artifact | None]]:
        wanted = select(deployments).where(where).order_by(deployments.c.number.desc()).limit(most)
        rows = (await tx.execute(wanted)).all()
        ids = {row.artifact_id for row in rows if row.artifact_id is not None}
        found: Sequence[Any] = ()
        if ids:
            found = (await tx.execute(select(artifacts_table).where(artifacts_table.c.id.in_(ids)))).all()
        by_id = {row.id: artifacts.to_record(row) for row in found}
        return [(_to_record(row), by_id.get(row.artifact_id)) for row in rows]


def _to_values(deployment: Deployment) -> dict[str, Any]:
    return {
        "id": deployment.id,
        "service_id": deployment.service_id,
        "number": deployment.number,
        "request": msgspec.to_builtins(deployment.request),
        "status": deployment.status.value,
        "reason": deployment.reason,
        "artifact_id": deployment.artifact_id,
        "node_id": deployment.node_id,
        "created_by": deployment.created_by,
        "created_at": deployment.created_at,
        "phase_at": deployment.phase_at,
        "deadline_at": deployment.deadline_at,
        "ready_at": deployment.ready_at,
        "finished_at": deployment.finished_at,
        "cancel_requested_at": deployment.cancel_requested_at,
        "attempts": deployment.attempts,
    }


def _to_record(row: Row[Any]) -> Deployment:
    return Deployment(
        id=row.id,
        service_id=row.service_id,
        number=row.number,
        request=msgspec.convert(row.request, DeploymentRequest),
        status=Status(row.status),
        reason=row.reason,
        artifact_id=row.artifact_id,
        node_id=row.node_id,
        created_by=row.created_by,
        created_at=row.created_at,
        phase_at=row.phase_at,
        deadline_at=row.deadline_at,
        ready_at=row.ready_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        attempts=row.attempts,
    )

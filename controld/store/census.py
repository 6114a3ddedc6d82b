"""Counts what the database holds."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Column, Table, func, select

from controld.core.ports import Transaction
from controld.model.census import Census
from controld.model.deployment import Status
from controld.model.job import RunStatus
from controld.model.node import NodeState
from controld.store.tables import certificates, deployments, job_runs, jobs, nodes, services


class CensusStore:
    """Asks the database for counts alone, so that it costs little however much there is."""

    async def read(self, tx: Transaction) -> Census:
        """The counts now."""
        by_state = select(
            nodes.c.state, func.count(), func.min(nodes.c.heard_at), func.min(nodes.c.certificate_expires_at)
        ).where(nodes.c.state != NodeState.REMOVED.value)
        states = [(NodeState(row[0]), *row[1:]) for row in await tx.execute(by_state.group_by(nodes.c.state))]
        served = select(certificates.c.hostname, certificates.c.not_after_at, certificates.c.failures)
        hosts: list[tuple[str, dt.datetime | None, int]] = [tuple(row) for row in await tx.execute(served)]
        return Census(
            nodes={state: count for state, count, _, _ in states},
            heard_at={state: heard_at for state, _, heard_at, _ in states if heard_at is not None},
            node_certificate_expires_at=min((expires_at for *_, expires_at in states), default=None),
            services=await _count(tx, services),
            deployments={Status(name): n for name, n in await _count_by(tx, deployments.c.status)},
            jobs=await _count(tx, jobs),
            job_runs={RunStatus(name): n for name, n in await _count_by(tx, job_runs.c.status)},
            certificates={hostname: not_after for hostname, not_after, _ in hosts if not_after is not None},
            orders_failed=sum(failures > 0 for *_, failures in hosts),
        )


async def _count(tx: Transaction, table: Table) -> int:
    return int((await tx.execute(select(func.count()).select_from(table))).scalar_one())


async def _count_by(tx: Transaction, column: Column[Any]) -> list[tuple[str, int]]:
    return [tuple(row) for row in await tx.execute(select(column, func.count()).group_by(column))]

"""What nodes last said of themselves, in the database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, bindparam, select, update

from controld.core.ports import Transaction
from controld.model.report import NodeReport
from controld.store.tables import node_reports, nodes
from controld.store.upsert import insert_into
from wire.link import HostReport, JobRunReport, Part, ReplicaReport


class _Kept(msgspec.Struct, array_like=True, omit_defaults=True):
    """The part of a report that has no column of its own."""

    wire_version: int | None
    agent_version: str | None
    replicas: tuple[ReplicaReport, ...]
    host: HostReport | None
    engine: Part | None
    ingress: Part | None
    job_runs: tuple[JobRunReport, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Kept)

_touch = update(nodes).where(nodes.c.id == bindparam("node")).values(heard_at=bindparam("heard"))


class NodeReportStore:
    """Reads and writes reports in batches; many rows make one statement."""

    async def save(self, tx: Transaction, reports: Sequence[NodeReport]) -> None:
        """Keep these as the newest word of their nodes."""
        insert = insert_into(tx, node_reports)
        names = ("heard_at", "applied_digest", "converged", "report")
        statement = insert.on_conflict_do_update(
            index_elements=["node_id"], set_={name: insert.excluded[name] for name in names}
        )
        rows = [
            {
                "node_id": each.node_id,
                "heard_at": each.heard_at,
                "applied_digest": each.applied_digest,
                "converged": each.converged,
                "report": _encoder.encode(
                    _Kept(
                        each.wire_version,
                        each.agent_version,
                        each.replicas,
                        each.host,
                        each.engine,
                        each.ingress,
                        each.job_runs,
                    )
                ),
            }
            for each in reports
        ]
        await tx.execute(statement, rows)

    async def touch(self, tx: Transaction, heard: Sequence[tuple[str, dt.datetime]]) -> None:
        """Note when these nodes were last heard."""
        await tx.execute(_touch, [{"node": node_id, "heard": heard_at} for node_id, heard_at in heard])

    async def get(self, tx: Transaction, node_id: str) -> NodeReport | None:
        """The newest word of a node, or None before its first."""
        row = (await tx.execute(select(node_reports).where(node_reports.c.node_id == node_id))).one_or_none()
        return None if row is None else _report(row)

    async def newest(self, tx: Transaction) -> NodeReport | None:
        """The newest word of all nodes, or None before the first."""
        statement = select(node_reports).order_by(node_reports.c.heard_at.desc()).limit(1)
        row = (await tx.execute(statement)).one_or_none()
        return None if row is None else _report(row)

    async def list(self, tx: Transaction, *, after: str = "", limit: int | None = None) -> list[NodeReport]:
        """The newest word of each node by its id, from the one behind `after` on."""
        statement = (
            select(node_reports).where(node_reports.c.node_id > after).order_by(node_reports.c.node_id).limit(limit)
        )
        return [_report(row) for row in await tx.execute(statement)]


def _report(row: Row[Any]) -> NodeReport:
    kept = _decoder.decode(row.report)
    return NodeReport(
        node_id=row.node_id,
        heard_at=row.heard_at,
        applied_digest=row.applied_digest,
        converged=row.converged,
        wire_version=kept.wire_version,
        agent_version=kept.agent_version,
        replicas=kept.replicas,
        host=kept.host,
        engine=kept.engine,
        ingress=kept.ingress,
        job_runs=kept.job_runs,
    )

"""Placed replicas as rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, insert, literal, select, update

from controld.core.ports import Transaction
from controld.model.replica import PlacedReplica
from controld.store.tables import Moment, log_places, replicas
from controld.store.upsert import insert_into
from wire.spec import Replica, Wanted

LOGS_LAST: Final = dt.timedelta(days=30)
"""After so long nobody looks for logs where a service was; nodes keep them for less, unless told otherwise."""


class ReplicaStore:
    """Reads and writes replicas; each change announces ("node", id) and ("service", id) of those it is about."""

    async def insert(self, tx: Transaction, placed: Sequence[PlacedReplica]) -> None:
        """Keep new replicas."""
        if not placed:
            return
        await tx.execute(
            insert(replicas),
            [
                {
                    "id": replica.id,
                    "service_id": replica.service_id,
                    "deployment_id": replica.deployment_id,
                    "node_id": replica.node_id,
                    "index": replica.index,
                    "config": msgspec.to_builtins(replica.config),
                    "wanted": replica.wanted.value,
                    "created_at": replica.created_at,
                    "draining_at": replica.draining_at,
                }
                for replica in placed
            ],
        )
        _announce(tx, placed)

    async def list_of_deployment(self, tx: Transaction, deployment_id: str) -> list[PlacedReplica]:
        """The deployment's replicas by index, draining ones included."""
        return await self._select(tx, replicas.c.deployment_id == deployment_id)

    async def list_of_service(self, tx: Transaction, service_id: str) -> list[PlacedReplica]:
        """The service's replicas by index, draining ones included."""
        return await self._select(tx, replicas.c.service_id == service_id)

    async def list_of_node(self, tx: Transaction, node_id: str) -> list[PlacedReplica]:
        """The replicas that are placed on the node, draining ones included."""
        return await self._select(tx, replicas.c.node_id == node_id)

    async def list_wanted(self, tx: Transaction, wanted: Wanted) -> list[PlacedReplica]:
        """All replicas of which this is wanted."""
        return await self._select(tx, replicas.c.wanted == wanted.value)

    async def drain(self, tx: Transaction, drained: Iterable[PlacedReplica], *, at: dt.datetime) -> None:
        """Want these to drain from now on; those that drain already keep their moment."""
        running = [replica for replica in drained if replica.wanted is Wanted.RUNNING]
        if running:
            await tx.execute(
                update(replicas)
                .where(
                    replicas.c.id.in_([replica.id for replica in running]), replicas.c.wanted == Wanted.RUNNING.value
                )
                .values(wanted=Wanted.DRAINING.value, draining_at=at)
            )
            _announce(tx, running)

    async def delete(self, tx: Transaction, removed: Sequence[PlacedReplica], *, at: dt.datetime) -> None:
        """Forget these, but for where their logs are: their nodes drop what they still run of them."""
        if not removed:
            return
        those = replicas.c.id.in_([replica.id for replica in removed])
        left = select(replicas.c.service_id, replicas.c.node_id, literal(at, Moment)).where(those).distinct()
        insert_place = insert_into(tx, log_places)
        await tx.execute(
            insert_place.from_select(["service_id", "node_id", "left_at"], left).on_conflict_do_update(
                index_elements=["service_id", "node_id"], set_={"left_at": at}
            )
        )
        await tx.execute(delete(log_places).where(log_places.c.left_at < at - LOGS_LAST))
        await tx.execute(delete(replicas).where(those))
        _announce(tx, removed)

    async def list_log_nodes(self, tx: Transaction, service_id: str) -> list[str]:
        """The ids of the nodes that have replicas of the service, or had some lately and may have their logs."""
        places = select(replicas.c.node_id).where(replicas.c.service_id == service_id)
        left = select(log_places.c.node_id).where(log_places.c.service_id == service_id)
        return sorted((await tx.execute(places.union(left))).scalars())

    async def _select(self, tx: Transaction, where: Any) -> list[PlacedReplica]:
        rows = await tx.execute(select(replicas).where(where).order_by(replicas.c.index, replicas.c.id))
        return [_to_record(row) for row in rows]


def _announce(tx: Transaction, placed: Collection[PlacedReplica]) -> None:
    tx.announce("node", *sorted({replica.node_id for replica in placed}))
    tx.announce("service", *sorted({replica.service_id for replica in placed}))


def _to_record(row: Row[Any]) -> PlacedReplica:
    return PlacedReplica(
        id=row.id,
        service_id=row.service_id,
        deployment_id=row.deployment_id,
        node_id=row.node_id,
        index=row._mapping["index"],  # noqa: SLF001 - a row is a tuple, whose own `index` hides the column
        config=msgspec.convert(row.config, Replica),
        wanted=Wanted(row.wanted),
        created_at=row.created_at,
        draining_at=row.draining_at,
    )

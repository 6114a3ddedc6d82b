"""Nodes and join tokens in the database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, func, select, update

from controld.core.ports import Transaction
from controld.model.job import ACTIVE
from controld.model.node import JoinToken, Node, NodeState
from controld.store.tables import job_runs, join_tokens, nodes, replicas


class NodeStore:
    """Reads and writes nodes; each change announces ("node", id)."""

    async def add(self, tx: Transaction, node: Node) -> None:
        """Keep a new node; NameTaken is the caller's to prevent with `is_name_taken`."""
        await tx.execute(nodes.insert().values(**_values(node)))
        tx.announce("node", node.id)

    async def get(self, tx: Transaction, node_id: str) -> Node | None:
        """The node, removed or not."""
        row = (await tx.execute(select(nodes).where(nodes.c.id == node_id))).one_or_none()
        return None if row is None else _node(row)

    async def list(self, tx: Transaction, *, after: str = "", limit: int | None = None) -> list[Node]:
        """Nodes that are not removed, by id, from the one behind `after` on."""
        statement = (
            select(nodes)
            .where(nodes.c.id > after, nodes.c.state != NodeState.REMOVED.value)
            .order_by(nodes.c.id)
            .limit(limit)
        )
        return [_node(row) for row in await tx.execute(statement)]

    async def is_name_taken(self, tx: Transaction, name: str) -> bool:
        """Whether a node has this name."""
        return (await tx.execute(select(nodes.c.id).where(nodes.c.name == name))).first() is not None

    async def count_replicas(self, tx: Transaction, node_id: str) -> int:
        """How many replicas are placed on the node."""
        statement = select(func.count()).select_from(replicas).where(replicas.c.node_id == node_id)
        return int((await tx.execute(statement)).scalar_one())

    async def count_job_runs(self, tx: Transaction, node_id: str) -> int:
        """How many runs of jobs are on the node and have not ended."""
        active = job_runs.c.status.in_([status.value for status in ACTIVE])
        statement = select(func.count()).select_from(job_runs).where(job_runs.c.node_id == node_id, active)
        return int((await tx.execute(statement)).scalar_one())

    async def change_state(self, tx: Transaction, node_id: str, *, before: NodeState, after: NodeState) -> bool:
        """Move it from one state to another; False when it is not in the first any more."""
        statement = update(nodes).where(nodes.c.id == node_id, nodes.c.state == before.value).values(state=after.value)
        return await self._changed(tx, node_id, statement)

    async def remove(self, tx: Transaction, node_id: str, *, name: str, removed_at: dt.datetime) -> bool:
        """Mark it removed under another name, so that its own is free; False when it was so before."""
        statement = (
            update(nodes)
            .where(nodes.c.id == node_id, nodes.c.state != NodeState.REMOVED.value)
            .values(state=NodeState.REMOVED.value, name=name, removed_at=removed_at)
        )
        return await self._changed(tx, node_id, statement)

    async def replace_certificate(
        self, tx: Transaction, node_id: str, *, serial: str, previous_serial: str | None, expires_at: dt.datetime
    ) -> bool:
        """Make another certificate the node's."""
        statement = (
            update(nodes)
            .where(nodes.c.id == node_id, nodes.c.state != NodeState.REMOVED.value)
            .values(certificate_serial=serial, previous_serial=previous_serial, certificate_expires_at=expires_at)
        )
        return await self._changed(tx, node_id, statement)

    async def forget_previous_serial(self, tx: Transaction, node_id: str, *, serial: str) -> bool:
        """Refuse the earlier certificate from now on, the current one being in use."""
        statement = (
            update(nodes)
            .where(nodes.c.id == node_id, nodes.c.certificate_serial == serial)
            .values(previous_serial=None)
        )
        return await self._changed(tx, node_id, statement)

    async def set_agent(
        self, tx: Transaction, node_id: str, *, agent_version: str, wire_version: int, peer_port: int | None
    ) -> bool:
        """Note which agent speaks for the node, and where its ingress takes what other nodes hand over."""
        statement = (
            update(nodes)
            .where(nodes.c.id == node_id)
            .values(agent_version=agent_version, wire_version=wire_version, peer_port=peer_port)
        )
        return await self._changed(tx, node_id, statement)

    async def set_labels(self, tx: Transaction, node_id: str, labels: Mapping[str, str]) -> bool:
        """Replace its labels."""
        return await self._changed(tx, node_id, update(nodes).where(nodes.c.id == node_id).values(labels=dict(labels)))

    async def set_address(self, tx: Transaction, node_id: str, *, address: str, port: int) -> bool:
        """Note where the node's agent is dialled."""
        statement = update(nodes).where(nodes.c.id == node_id).values(address=address, port=port)
        return await self._changed(tx, node_id, statement)

    async def _changed(self, tx: Transaction, node_id: str, statement: Any) -> bool:
        if (await tx.execute(statement)).rowcount != 1:
            return False
        tx.announce("node", node_id)
        return True


class JoinTokenStore:
    """Reads and writes join tokens."""

    async def add(self, tx: Transaction, token: JoinToken) -> None:
        """Keep a fresh token."""
        await tx.execute(
            join_tokens.insert().values(
                id=token.id,
                secret_sha256=token.secret_sha256,
                created_by=token.created_by,
                created_at=token.created_at,
                expires_at=token.expires_at,
                node_id=token.node_id,
            )
        )

    async def use(self, tx: Transaction, secret_sha256: str, *, now: dt.datetime) -> JoinToken | None:
        """Take the token out of use, once and for ever; None when there is none, it was used, or it has expired.

        Of transactions that try at the same time exactly one gets it.
        """
        statement = (
            update(join_tokens)
            .where(
                join_tokens.c.secret_sha256 == secret_sha256,
                join_tokens.c.used_at.is_(None),
                join_tokens.c.expires_at > now,
            )
            .values(used_at=now)
            .returning(join_tokens)
        )
        row = (await tx.execute(statement)).one_or_none()
        if row is None:
            return None
        return JoinToken(
            id=row.id,
            secret_sha256=row.secret_sha256,
            created_by=row.created_by,
            created_at=row.created_at,
            expires_at=row.expires_at,
            node_id=row.node_id,
        )

    async def set_node(self, tx: Transaction, token_id: str, *, node_id: str) -> None:
        """Note which node came of it."""
        await tx.execute(update(join_tokens).where(join_tokens.c.id == token_id).values(node_id=node_id))


def _values(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "state": node.state.value,
        "labels": dict(node.labels),
        "address": node.address,
        "port": node.port,
        "certificate_serial": node.certificate_serial,
        "previous_serial": node.previous_serial,
        "certificate_expires_at": node.certificate_expires_at,
        "agent_version": node.agent_version,
        "wire_version": node.wire_version,
        "created_at": node.created_at,
        "heard_at": node.heard_at,
        "removed_at": node.removed_at,
        "peer_port": node.peer_port,
    }


def _node(row: Row[Any]) -> Node:
    return Node(
        id=row.id,
        name=row.name,
        state=NodeState(row.state),
        labels=row.labels,
        address=row.address,
        port=row.port,
        certificate_serial=row.certificate_serial,
        previous_serial=row.previous_serial,
        certificate_expires_at=row.certificate_expires_at,
        agent_version=row.agent_version,
        wire_version=row.wire_version,
        created_at=row.created_at,
        heard_at=row.heard_at,
        removed_at=row.removed_at,
        peer_port=row.peer_port,
    )

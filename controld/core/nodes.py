"""The nodes: what people see of them and do to them, and how their state follows what is heard."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Final

from controld.core.audit import Audit
from controld.core.faults import NodeInUse, NodeNotFound
from controld.core.ports import Database, NodeStore, Transaction
from controld.core.reports import Reports
from controld.model.caller import Caller
from controld.model.node import Node, NodeState
from controld.rules.access import check
from controld.rules.node_state import Patience, decide_heard, decide_silent
from controld.rules.validation import check_labels
from kit.clock import Clock

_log = logging.getLogger(__name__)

_PAGE: Final = 500
_SET_ASIDE: Final = frozenset({NodeState.DRAINING, NodeState.DRAINED})
_IN_USE: Final = frozenset(NodeState) - _SET_ASIDE - {NodeState.REMOVED}


class Nodes:
    """Lists and removes nodes for people, and moves their states as they are heard or silent."""

    def __init__(self, *, database: Database, store: NodeStore, reports: Reports, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._reports = reports
        self._audit = audit
        self._clock = clock

    async def list(self, caller: Caller) -> list[Node]:
        """Every node that is not removed, oldest first."""
        check(caller, "nodes.read")
        async with self._database.read() as tx:
            found = await self._store.list(tx)
        return [self._with_news(node) for node in found]

    async def get(self, caller: Caller, node_id: str) -> Node:
        """One node; raises NodeNotFound."""
        check(caller, "nodes.read")
        async with self._database.read() as tx:
            node = await self._store.get(tx, node_id)
        if node is None or node.state is NodeState.REMOVED:
            raise _missing(node_id)
        return self._with_news(node)

    async def remove(self, caller: Caller, node_id: str, *, force: bool) -> None:
        """Refuse the node's certificate from now on and end its link; its containers are not touched.

        A node with replicas or runs of jobs is refused with NodeInUse unless `force`.
        """
        check(caller, "nodes.change")
        async with self._database.write() as tx:
            node = await self._find(tx, node_id)
            placed = await self._store.count_replicas(tx, node_id)
            runs = await self._store.count_job_runs(tx, node_id)
            if (placed or runs) and not force:
                raise NodeInUse(
                    f"cannot remove node {node.name}: {placed} replicas and {runs} runs of jobs are placed on it; "
                    "drain it first, or remove it with force=true",
                    details={"replicas": placed, "job_runs": runs},
                )
            await self._store.remove(tx, node_id, name=f"{node.name}~{node_id}"[:255], removed_at=self._clock.now())
            await self._record(tx, caller, "node.remove", node=node, replicas=placed)
        _log.info("node removed", extra={"node_id": node_id, "node": node.name, "replicas": placed})

    async def drain(self, caller: Caller, node_id: str) -> Node:
        """Set the node aside: what runs on it moves to others, and it gets nothing new until `undrain`.

        It is drained once nothing is left on it; doing it again changes nothing.
        """
        return await self._set_aside(caller, node_id, "node.drain", before=_IN_USE, after=NodeState.DRAINING)

    async def undrain(self, caller: Caller, node_id: str) -> Node:
        """Take the node into use again; what has moved away stays where it is."""
        async with self._database.read() as tx:
            node = await self._store.get(tx, node_id)
        after = NodeState.JOINING if node is not None and node.heard_at is None else NodeState.READY
        return await self._set_aside(caller, node_id, "node.undrain", before=_SET_ASIDE, after=after)

    async def set_labels(
        self, caller: Caller, node_id: str, labels: Mapping[str, str | None], *, replace: bool
    ) -> Node:
        """Give the node these labels, instead of all that it has or beside them; None takes one away.

        Replicas that the labels no longer allow there move away.
        """
        check(caller, "nodes.change")
        async with self._database.write() as tx:
            node = await self._find(tx, node_id)
            merged = {**({} if replace else node.labels), **labels}
            kept = {name: value for name, value in merged.items() if value is not None}
            check_labels(kept, what="labels")
            await self._store.set_labels(tx, node_id, kept)
            await self._record(tx, caller, "node.label", node=node, labels=kept)
        return self._with_news(dataclasses.replace(node, labels=kept))

    async def _set_aside(
        self, caller: Caller, node_id: str, action: str, *, before: frozenset[NodeState], after: NodeState
    ) -> Node:
        check(caller, "nodes.change")
        async with self._database.write() as tx:
            node = await self._find(tx, node_id)
            if node.state in before:
                await self._store.change_state(tx, node_id, before=node.state, after=after)
                await self._record(tx, caller, action, node=node)
                node = dataclasses.replace(node, state=after)
        _log.info("node state changed", extra={"node_id": node_id, "state": node.state.value})
        return self._with_news(node)

    async def _find(self, tx: Transaction, node_id: str) -> Node:
        node = await self._store.get(tx, node_id)
        if node is None or node.state is NodeState.REMOVED:
            raise _missing(node_id)
        return node

    async def _record(self, tx: Transaction, caller: Caller, action: str, *, node: Node, **details: object) -> None:
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="node",
            object_id=node.id,
            details={"name": node.name, **details},
        )

    async def note_link(
        self, node_id: str, *, serial: str, agent_version: str, wire_version: int, peer_port: int | None = None
    ) -> None:
        """A node has sent its first heartbeat on a link: it is ready, and its earlier certificate has had its day."""
        async with self._database.read() as tx:
            node = await self._store.get(tx, node_id)
        if node is None:
            raise _missing(node_id)
        ready = decide_heard(node.state)
        told = (agent_version, wire_version, peer_port)
        same_agent = (node.agent_version, node.wire_version, node.peer_port) == told
        if ready is node.state and same_agent and (node.previous_serial is None or node.certificate_serial != serial):
            return
        async with self._database.write() as tx:
            if ready is not node.state:
                await self._store.change_state(tx, node_id, before=node.state, after=ready)
                _log.info("node state changed", extra={"node_id": node_id, "state": ready.value})
            if not same_agent:
                await self._store.set_agent(
                    tx, node_id, agent_version=agent_version, wire_version=wire_version, peer_port=peer_port
                )
            if node.previous_serial is not None:
                await self._store.forget_previous_serial(tx, node_id, serial=serial)

    async def follow_silence(self, patience: Patience) -> int:
        """Move every node whose silence, or whose return, calls for another state; returns how many nodes there are."""
        after, count = "", 0
        while True:
            async with self._database.read() as tx:
                page = await self._store.list(tx, after=after, limit=_PAGE)
            for node in page:
                silence = self._reports.silence(node.id, heard_at=node.heard_at)
                decided = decide_silent(node.state, silence.seconds, patience)
                if silence.has_news and silence.seconds < patience.suspect_seconds:
                    decided = decide_heard(node.state)
                if decided is not node.state:
                    await self._move(node, decided, silence.seconds)
            count += len(page)
            if len(page) < _PAGE:
                return count
            after = page[-1].id

    async def _move(self, node: Node, state: NodeState, silent_seconds: float) -> None:
        async with self._database.write() as tx:
            moved = await self._store.change_state(tx, node.id, before=node.state, after=state)
        if moved:
            _log.warning(
                "node state changed",
                extra={"node_id": node.id, "node": node.name, "state": state.value, "silent_seconds": silent_seconds},
            )

    def _with_news(self, node: Node) -> Node:
        heard_at = self._reports.heard_at(node.id)
        if heard_at is None or (node.heard_at is not None and node.heard_at >= heard_at):
            return node
        return dataclasses.replace(node, heard_at=heard_at)


def _missing(node_id: str) -> NodeNotFound:
    return NodeNotFound(f"cannot find node {node_id}: there is none, or it was removed")

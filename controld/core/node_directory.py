"""Nodes by id from memory, for what is asked with every call of a node."""

from __future__ import annotations

from controld.core.faults import NodeNotFound, NodeRefused
from controld.core.ports import Database, Feed, NodeStore
from controld.model.caller import Caller, CallerKind, TokenKind
from controld.model.change import EVERYTHING, Change
from controld.model.node import Node, NodeState
from kit.tls import Peer
from wire.identity import node_of_uri


class NodeDirectory:
    """Remembers nodes until the feed says that they changed; `heard_at` of a remembered node is old news."""

    def __init__(self, *, database: Database, store: NodeStore, feed: Feed) -> None:
        self._database = database
        self._store = store
        self._feed = feed
        self._nodes: dict[str, Node] = {}
        self._changes = 0
        feed.subscribe(self._changed, kinds=("node",))

    async def find(self, node_id: str) -> Node | None:
        """The node, removed or not, or None."""
        if self._feed.is_live and (known := self._nodes.get(node_id)) is not None:
            return known
        changes = self._changes
        async with self._database.read() as tx:
            node = await self._store.get(tx, node_id)
        if node is not None and changes == self._changes:
            self._nodes[node_id] = node
        return node

    async def get(self, node_id: str) -> Node:
        """The node; raises NodeNotFound for an unknown or removed one."""
        node = await self.find(node_id)
        if node is None or node.state is NodeState.REMOVED:
            raise NodeNotFound(f"cannot find node {node_id}: there is none, or it was removed")
        return node

    async def recognise(self, peer: Peer, *, address: str) -> Caller:
        """The caller that a verified certificate stands for; raises NodeRefused once it does no more."""
        node_id = node_of_uri(peer.uri)
        if node_id is None:
            raise NodeRefused("cannot accept certificate: it is not a node's")
        node = await self.find(node_id)
        if node is None or node.state is NodeState.REMOVED:
            raise NodeRefused(f"cannot accept certificate: node {node_id} was removed", details={"reason": "removed"})
        if not node.accepts(peer.serial):
            raise NodeRefused(
                f"cannot accept certificate: node {node.name} has another one by now", details={"reason": "superseded"}
            )
        return Caller(
            kind=CallerKind.NODE,
            token_kind=TokenKind.CERTIFICATE,
            token_id=peer.serial,
            node_id=node_id,
            address=address,
        )

    def _changed(self, change: Change) -> None:
        self._changes += 1
        if change is EVERYTHING:
            self._nodes.clear()
        else:
            self._nodes.pop(change.id, None)

"""What each node should run now, remembered until the feed says that it may be different."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from controld.core.ports import Database, Feed, NodeSpecStore
from controld.model.change import EVERYTHING, Change
from controld.rules.node_spec import render_node_spec
from wire.spec import NodeSpec, compute_digest


@dataclass(frozen=True, slots=True)
class CurrentSpec:
    """A node's spec and its name."""

    digest: str
    spec: NodeSpec


class NodeSpecs:
    """Answers a node's wanted spec from memory.

    It hears ("node", id) for what is placed on a node, and ("service", id) for promotion and host names; whoever
    changes those rows announces so. `on_stale` is told the nodes whose spec may be different, None for all of them.
    """

    def __init__(
        self, *, database: Database, store: NodeSpecStore, feed: Feed, control_domain: str | None = None
    ) -> None:
        self._database = database
        self._store = store
        self._feed = feed
        self._control_domain = control_domain
        self._specs: dict[str, CurrentSpec] = {}
        self._services: dict[str, frozenset[str]] = {}
        self._making: dict[str, asyncio.Lock] = {}
        self._changes = 0
        self._listeners: list[Callable[[str | None], None]] = []
        feed.subscribe(self._changed, kinds=("node", "service"))

    def on_stale(self, listener: Callable[[str | None], None]) -> None:
        """Tell this listener from now on; it must not block."""
        self._listeners.append(listener)

    def remembered(self, node_id: str) -> CurrentSpec | None:
        """The node's spec when it is known without asking."""
        return self._specs.get(node_id) if self._feed.is_live else None

    async def current(self, node_id: str) -> CurrentSpec:
        """The node's spec."""
        known = self.remembered(node_id)
        if known is not None:
            return known
        lock = self._making.setdefault(node_id, asyncio.Lock())
        async with lock:
            known = self.remembered(node_id) or await self._make(node_id)
        if self._making.get(node_id) is lock and not lock.locked():
            del self._making[node_id]
        return known

    async def _make(self, node_id: str) -> CurrentSpec:
        changes = self._changes
        async with self._database.read() as tx:
            rows = await self._store.read(tx, node_id)
        spec = render_node_spec(rows, control_domain=self._control_domain)
        made = CurrentSpec(compute_digest(spec), spec)
        if changes == self._changes:
            self._specs[node_id] = made
            self._services[node_id] = frozenset(replica.service_id for replica in spec.replicas)
        return made

    def _changed(self, change: Change) -> None:
        self._changes += 1
        stale: list[str | None]
        if change is EVERYTHING:
            self._specs.clear()
            stale = [None]
        elif change.kind == "node":
            self._specs.pop(change.id, None)
            stale = [change.id]
        else:
            stale = [node_id for node_id, services in self._services.items() if change.id in services]
            for node_id in stale:
                self._specs.pop(node_id or "", None)
        for listener in self._listeners:
            for node_id in stale:
                listener(node_id)

"""What each node should run now, remembered until the feed says that it may be different."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controld.core.certificate_keys import CertificateKeys
from controld.core.ports import Database, Feed, NodeSpecStore
from controld.model.change import EVERYTHING, Change
from controld.model.spec_rows import FleetRouting, Member, SpecCommon, SpecRows
from controld.rules.node_spec import NOWHERE, add_routing, lead_to_control, list_certificates, render_node_spec
from wire.spec import NodeSpec, compute_digest


@dataclass(frozen=True, slots=True)
class CurrentSpec:
    """A node's spec and its name."""

    digest: str
    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class _Fleet:
    """What the specs of several nodes have in common, and how many changes there had been when it was read."""

    routing: FleetRouting
    members: tuple[Member, ...]
    changes: int


class NodeSpecs:
    """Answers a node's wanted spec from memory.

    It hears ("node", id) for what is placed on a node and for the node itself, ("service", id) for promotion, hosts,
    their certificates and where its replicas are, and ("challenge", any) for what all nodes answer and for the control
    domain's certificate; whoever changes those rows announces so. `on_stale` is told the nodes whose spec may be
    different, None for all of them. `locate_control` tells from a node's address where it reaches controld's public
    listener, None: nowhere. Nodes that carry `leading_label`, or all without one, lead to every service.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: NodeSpecStore,
        feed: Feed,
        keys: CertificateKeys,
        control_domain: str | None = None,
        locate_control: Callable[[str], str | None] = lambda _: None,
        allow_private_registries: bool = False,
        leading_label: tuple[str, str] | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._feed = feed
        self._control_domain = control_domain
        self._locate_control = locate_control
        self._leading_label = leading_label
        self._rows: dict[str, SpecRows] = {}
        self._common: SpecCommon | None = None
        self._keys = keys
        self._allow_private_registries = allow_private_registries
        self._routing: FleetRouting | None = None
        self._members: tuple[Member, ...] | None = None
        self._members_are_known = False
        """What changed of a node since they were read was of no account for the others."""
        self._reviewing = asyncio.Lock()
        self._specs: dict[str, CurrentSpec] = {}
        self._services: dict[str, frozenset[str] | None] = {}
        """Whose changes are of account for a node; None: any."""
        self._making: dict[str, asyncio.Lock] = {}
        self._changes = 0
        self._listeners: list[Callable[[str | None], None]] = []
        feed.subscribe(self._changed, kinds=("node", "service", "challenge"))

    def on_stale(self, listener: Callable[[str | None], None]) -> None:
        """Tell this listener from now on; it must not block."""
        self._listeners.append(listener)

    def remembered(self, node_id: str) -> CurrentSpec | None:
        """The node's spec when it is known without asking."""
        return self._specs.get(node_id) if self._feed.is_live and not self._is_in_doubt() else None

    async def current(self, node_id: str) -> CurrentSpec:
        """The node's spec."""
        known = self.remembered(node_id)
        if known is not None:
            return known
        fleet = await self._review()
        lock = self._making.setdefault(node_id, asyncio.Lock())
        async with lock:
            known = self.remembered(node_id) or await self._make(node_id, fleet)
        if self._making.get(node_id) is lock and not lock.locked():
            del self._making[node_id]
        return known

    def _is_in_doubt(self) -> bool:
        """Whether a change of some node may be one for all: not where no request goes from node to node."""
        return (self._routing is None or self._is_shared(self._routing)) and not self._members_are_known

    def _is_shared(self, routing: FleetRouting) -> bool:
        """Whether requests may go from node to node, or will once something wakes."""
        asleep = any(service.is_asleep for service in routing.services)
        return asleep or bool(routing.replicas) or self._control_domain is not None

    async def _review(self) -> _Fleet:
        """Where requests go, and the nodes that they go between; all specs are stale when those are others now."""
        async with self._reviewing:
            changes, before = self._changes, self._members
            known = self._feed.is_live and not self._is_in_doubt()
            if known and self._routing is not None and before is not None:
                return _Fleet(self._routing, before, changes)
            async with self._database.read() as tx:
                routing = (self._routing if self._feed.is_live else None) or await self._store.read_routing(tx)
                together = self._is_shared(routing)
                members = await self._store.list_members(tx, label=self._leading_label) if together else ()
            if changes == self._changes:
                self._routing, self._members, self._members_are_known = routing, members, True
                if before is not None and before != members:
                    self._specs.clear()
                    self._tell([None])
        return _Fleet(routing, members, changes)

    async def _make(self, node_id: str, fleet: _Fleet) -> CurrentSpec:
        rows, common = self._rows.get(node_id), self._common
        if not self._feed.is_live:
            rows = common = None
        if rows is None or common is None:
            async with self._database.read() as tx:
                rows = rows or await self._store.read(tx, node_id)
                common = common or await self._store.read_common(tx, control_domain=self._control_domain)
        routed = add_routing(rows, fleet.routing, fleet.members)
        control = NOWHERE
        if self._control_domain is not None:
            control = lead_to_control(rows, fleet.members, locate=self._locate_control)
        held = list_certificates(routed, common, control)
        keys = {each.key_ref: key for each in held if (key := await self._keys.find(each.key_ref)) is not None}
        spec = render_node_spec(
            routed,
            common=common,
            keys=keys,
            control_domain=self._control_domain,
            control=control,
            allow_private_registries=self._allow_private_registries,
        )
        made = CurrentSpec(compute_digest(spec), spec)
        if fleet.changes == self._changes:
            self._rows[node_id], self._common = rows, common
            if len(keys) == len(held):
                self._specs[node_id] = made
            leads = any(member.id == node_id and member.leads for member in fleet.members)
            here = frozenset(replica.service_id for replica in spec.replicas)
            here |= {route.service_id for route in spec.routes}
            self._services[node_id] = None if leads else here
        return made

    def _changed(self, change: Change) -> None:
        self._changes += 1
        stale: list[str | None]
        if change is EVERYTHING:
            self._rows.clear()
            self._common = self._routing = None
            self._members_are_known = False
            stale = [None]
        elif change.kind == "challenge":
            self._common = None
            stale = [None]
        elif change.kind == "node":
            self._members_are_known = False
            stale = [change.id]
        else:
            self._routing = None
            stale = [
                node_id for node_id, services in self._services.items() if services is None or change.id in services
            ]
        for node_id in stale:
            if node_id is None:
                self._specs.clear()
            else:
                self._specs.pop(node_id, None)
                self._rows.pop(node_id, None)
        self._tell(stale)

    def _tell(self, stale: Iterable[str | None]) -> None:
        for node_id in stale:
            for listener in self._listeners:
                listener(node_id)

"""What the ingress of all nodes leads where."""

from __future__ import annotations

import dataclasses

from controld.core.ports import Database, NodeSpecStore
from controld.model.caller import Caller
from controld.model.spec_rows import IngressRoute
from controld.rules.access import check


class IngressRoutes:
    """Tells the routes of all nodes as the database wants them; nodes with `leading_label` lead to every service."""

    def __init__(
        self, *, database: Database, store: NodeSpecStore, leading_label: tuple[str, str] | None = None
    ) -> None:
        self._database = database
        self._store = store
        self._leading_label = leading_label

    async def list(self, caller: Caller) -> list[IngressRoute]:
        """Every service that some node routes to, by name."""
        check(caller, "ingress.read")
        async with self._database.read() as tx:
            routes = await self._store.list_routes(tx)
            members = await self._store.list_members(tx, label=self._leading_label)
        leading = {member.id for member in members if member.leads}
        return [dataclasses.replace(each, node_ids=tuple(sorted({*each.node_ids, *leading}))) for each in routes]

"""Writes down who changed what, in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping

from controld.core.ports import Transaction
from controld.core.ports_identity import AuditStore
from controld.model.audit import AuditRecord
from controld.model.caller import Caller
from kit.clock import Clock
from kit.ids import Ids

DONE = "done"
REFUSED = "refused"


class Audit:
    """Adds records; those of a transaction that is taken back go with it."""

    def __init__(self, store: AuditStore, *, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    async def record(
        self,
        tx: Transaction,
        caller: Caller,
        *,
        action: str,
        object_kind: str,
        object_id: str | None = None,
        project_id: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Note that the caller did this; `details` holds no secrets."""
        actor = {
            "kind": caller.kind.value,
            "id": caller.user_id or caller.node_id,
            "name": caller.username,
            "token_kind": caller.token_kind.value,
            "token_id": caller.token_id,
        }
        await self._add(
            tx,
            actor,
            address=caller.address,
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            project_id=project_id,
            outcome=DONE,
            details=details,
        )

    async def record_stranger(
        self, tx: Transaction, *, address: str, action: str, outcome: str, details: Mapping[str, object] | None = None
    ) -> None:
        """Note what somebody did, or tried, before they were known."""
        await self._add(
            tx,
            {"kind": "stranger"},
            address=address,
            action=action,
            object_kind="session",
            object_id=None,
            project_id=None,
            outcome=outcome,
            details=details,
        )

    async def _add(
        self,
        tx: Transaction,
        actor: Mapping[str, str | None],
        *,
        address: str,
        action: str,
        object_kind: str,
        object_id: str | None,
        project_id: str | None,
        outcome: str,
        details: Mapping[str, object] | None,
    ) -> None:
        record = AuditRecord(
            id=self._ids.new_id(),
            at=self._clock.now(),
            actor=actor,
            address=address,
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            project_id=project_id,
            outcome=outcome,
            details=details or {},
        )
        await self._store.add(tx, record)

"""Writes down who changed what, in the transaction of the change itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

from controld.core.ports import Transaction
from controld.core.ports_identity import AuditStore
from controld.model.audit import AuditRecord, Refusal
from controld.model.caller import Caller
from kit.clock import Clock
from kit.ids import Ids

DONE: Final = "done"
REFUSED: Final = "refused"


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
        await self._add(
            tx,
            _actor(caller),
            at=self._clock.now(),
            address=caller.address,
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            project_id=project_id,
            outcome=DONE,
            details=details,
        )

    async def record_own(
        self,
        tx: Transaction,
        *,
        action: str,
        object_kind: str,
        object_id: str,
        project_id: str,
        details: Mapping[str, object],
    ) -> None:
        """Note what the platform did of itself."""
        await self._add(
            tx,
            {"kind": "platform"},
            at=self._clock.now(),
            address="",
            action=action,
            object_kind=object_kind,
            object_id=object_id,
            project_id=project_id,
            outcome=DONE,
            details=details,
        )

    async def record_refusal(self, tx: Transaction, refusal: Refusal) -> None:
        """Note what somebody tried and was not let do."""
        caller = refusal.caller
        await self._add(
            tx,
            {"kind": "stranger"} if caller is None else _actor(caller),
            at=refusal.at,
            address=refusal.address,
            action=refusal.action,
            object_kind=refusal.object_kind,
            object_id=refusal.object_id,
            project_id=refusal.project_id,
            outcome=REFUSED,
            details=refusal.details,
        )

    async def _add(
        self,
        tx: Transaction,
        actor: Mapping[str, str | None],
        *,
        at: dt.datetime,
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
            at=at,
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


def _actor(caller: Caller) -> dict[str, str | None]:
    return {
        "kind": caller.kind.value,
        "id": caller.user_id or caller.node_id,
        "name": caller.username,
        "token_kind": caller.token_kind.value,
        "token_id": caller.token_id,
    }

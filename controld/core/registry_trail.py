"""Writes down who changed what of the image registry."""

from __future__ import annotations

from controld.core.audit import Audit
from controld.core.ports import Transaction
from controld.model.caller import Caller
from controld.model.registry import Repository


class RegistryTrail:
    """The audit, as changes of repositories are worded in it."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def record(
        self, tx: Transaction, caller: Caller, repository: Repository, *, action: str, reference: str
    ) -> None:
        """Note in the change's own transaction that the caller did this to a tag or a digest of the repository."""
        await self._audit.record(
            tx,
            caller,
            action=action,
            object_kind="service",
            object_id=repository.service_id,
            project_id=repository.project_id,
            details={"repository": repository.name, "reference": reference},
        )

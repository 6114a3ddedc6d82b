"""Reads the audit for those who may, and forgets what is older than it has to be kept."""

from __future__ import annotations

import dataclasses
import datetime as dt

from controld.core.faults import ProjectNotFound
from controld.core.ports import Database
from controld.core.ports_identity import AuditStore
from controld.core.refusals import Refusals
from controld.model.audit import AuditQuery, AuditRecord
from controld.model.caller import Caller
from controld.model.page import Page, Paged
from controld.rules.access import administered_by, check, is_super_admin
from kit.clock import Clock


class AuditTrail:
    """Shows super-admins every record, and admins those of the projects they administer; keeps them `keep_days`."""

    def __init__(
        self, store: AuditStore, *, database: Database, refusals: Refusals, clock: Clock, keep_days: float
    ) -> None:
        self._store = store
        self._database = database
        self._refusals = refusals
        self._clock = clock
        self._keep = dt.timedelta(days=keep_days)

    async def list(
        self, caller: Caller, query: AuditQuery, *, page: Page, project_id: str | None
    ) -> Paged[AuditRecord]:
        """A page of the records that the query means, newest first, of one project or of all that the caller may see.

        Raises ProjectNotFound and Forbidden. A project that has been deleted is shown to super-admins.
        """
        if project_id is not None:
            missing = ProjectNotFound("cannot read the audit: no such project")
            check(caller, "audit.project", project_id=project_id, missing=missing)
            query = dataclasses.replace(query, projects=frozenset({project_id}))
        else:
            check(caller, "audit.read")
            if not is_super_admin(caller):
                query = dataclasses.replace(query, projects=administered_by(caller), in_projects=True)
        await self._refusals.write()
        async with self._database.read() as tx:
            found = await self._store.list(tx, query, page=page)
        return Paged.cut(found, page, id_of=lambda record: record.id)

    async def drop_old(self) -> int:
        """Forget what is older than it has to be kept, a slice at a time, and say how many records that were."""
        count = 0
        while True:
            async with self._database.write() as tx:
                dropped = await self._store.drop_older(tx, self._clock.now() - self._keep)
            if not dropped:
                return count
            count += dropped

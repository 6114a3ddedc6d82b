"""Every change leaves a record of who made it, from where, and of what."""

from __future__ import annotations

import contextlib

from controld.core.audit import Audit
from controld.core.faults import NameTaken
from controld.model.audit import AuditQuery, AuditRecord
from controld.model.caller import SETUP_CALLER
from controld.model.page import Page
from controld.model.role import Role
from kit.ids import SystemIds
from tests.controld.app import PASSWORD, App


async def _records(app: App) -> list[AuditRecord]:
    async with app.database.read() as tx:
        return await app.audit_store.list(tx, AuditQuery(), page=Page(limit=100))


async def test_a_change_is_recorded_with_its_maker_and_without_secrets(app: App) -> None:
    project_id = await app.add_project()
    caller = await app.caller("ada", project_id=project_id, role=Role.ADMIN)
    await app.projects.delete(caller, project_id)
    newest = (await _records(app))[0]
    assert (newest.action, newest.object_kind, newest.object_id, newest.outcome) == (
        "project.delete",
        "project",
        project_id,
        "done",
    )
    assert newest.actor["name"] == "ada"
    assert newest.actor["token_kind"] == "api_token"
    assert newest.address == "192.0.2.1"
    assert PASSWORD not in str(await _records(app))


async def test_a_change_that_is_refused_leaves_no_record_of_having_been_done(app: App) -> None:
    await app.add_user("ada")
    before = await _records(app)
    with contextlib.suppress(NameTaken):
        await app.users.create(SETUP_CALLER, username="ada", password=PASSWORD, is_super_admin=False)
    assert await _records(app) == before


async def test_what_is_taken_back_in_the_middle_leaves_no_record(app: App) -> None:
    audit = Audit(app.audit_store, clock=app.clock, ids=SystemIds())
    with contextlib.suppress(RuntimeError):
        async with app.database.write() as tx:
            await audit.record(tx, SETUP_CALLER, action="project.create", object_kind="project")
            raise RuntimeError
    assert await _records(app) == []

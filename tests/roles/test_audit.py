"""Every change that somebody makes through `/v1` stands in the audit, under their name, and no secret does."""

from __future__ import annotations

from typing import Final

from controld.model.audit import AuditQuery, AuditRecord
from controld.model.page import Page
from kit.http.surface import PUBLIC
from tests.controld.app import PASSWORD, SETUP_SECRET
from tests.roles.callers import make_callers
from tests.roles.probes import PROBES
from tests.roles.world import World, try_route

_CHANGES_NOTHING: Final = {
    "POST /v1/auth/logout": "an API token is no session",
    "POST /v1/services/{service_id}/console/tickets": "a console is recorded when it is opened",
    "DELETE /v1/projects/{project_id}": "the project has services",
    "POST /v1/jobs/{job_id}/run": "the job has a run",
    "DELETE /v1/auth/sessions": "there is none",
}


async def _records(world: World) -> list[AuditRecord]:
    await world.app.refusals.write()
    async with world.app.database.read() as tx:
        return await world.app.audit_store.list(tx, AuditQuery(), page=Page(limit=10_000))


async def test_every_change_leaves_a_record_of_who_made_it(world: World) -> None:
    callers = await make_callers(world.app, home=world.home["project_id"], elsewhere=world.elsewhere["project_id"])
    by_name = {who.name: who for who in callers}
    wrong, count = [], 0
    for route in world.app.surface.routes:
        name = f"{route.method} {route.path}"
        if route.method == "GET" or route.access == PUBLIC or name in _CHANGES_NOTHING:
            continue
        count += 1
        who = by_name["admin" if route.access in {"viewer", "operator", "admin"} else "super-admin"]
        probe = PROBES[name]
        ids = {**world.home, **probe.ids}
        if probe.fresh is not None:
            ids |= await probe.fresh(world, who)
        before = {record.id for record in await _records(world)}
        _, status, told = await try_route(world, route, probe, path=route.path, ids=ids, headers=who.headers)
        made = [record for record in await _records(world) if record.id not in before]
        assert who.user is not None
        if not (200 <= status < 300 and made and all(record.actor["id"] == who.user.id for record in made)):
            wrong.append(f"{name}: {status} {told[:200]!r}, {[record.action for record in made]}")
    assert not wrong, "\n".join(wrong)
    print(f"\n/v1: {count} kinds of change are recorded")
    credentials = [
        who.credential for who in callers if who.credential is not None and who.credential.startswith("moor_")
    ]
    everything = repr(await _records(world))
    assert [secret for secret in (PASSWORD, SETUP_SECRET, *credentials) if secret in everything] == []


def test_what_changes_nothing_is_in_the_table_of_routes() -> None:
    assert set(_CHANGES_NOTHING) <= set(PROBES)

"""The audit over `/v1`: who sees what of it, in which pages, and what stands in it."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession

from controld.model.role import Role
from tests.controld.app import PASSWORD, SETUP_SECRET, App, ask, bearer, service_body

_SETUP = bearer(SETUP_SECRET)


async def _actions(http: ClientSession, query: str = "", *, headers: dict[str, str] = _SETUP) -> list[str]:
    status, found = await ask(http, "GET", f"/v1/audit{query}", headers=headers)
    assert status == 200, found
    return [record["action"] for record in found]


async def test_a_super_admin_sees_all_and_an_admin_what_belongs_to_their_projects(app: App) -> None:
    mine, other = await app.add_project("mine"), await app.add_project("other")
    admin = bearer(await app.token_of("ada", project_id=mine, role=Role.ADMIN))
    await app.token_of("ada", project_id=other, role=Role.OPERATOR)
    async with app.serve() as http:
        assert "user.create" in await _actions(http)
        _, found = await ask(http, "GET", "/v1/audit", headers=admin)
        assert {record["project_id"] for record in found} == {mine}
        assert [record["action"] for record in found] == ["member.put", "project.create"]
        assert await _actions(http, f"?project_id={mine}", headers=admin) == ["member.put", "project.create"]
        assert (await ask(http, "GET", f"/v1/audit?project_id={other}", headers=admin))[0] == 403
        nowhere = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"
        assert (await ask(http, "GET", f"/v1/audit?project_id={nowhere}", headers=admin))[0] == 404
        viewer = bearer(await app.token_of("eve", project_id=mine, role=Role.VIEWER))
        assert (await ask(http, "GET", "/v1/audit", headers=viewer))[0] == 403


async def test_a_record_says_who_from_where_what_and_how_it_ended(app: App) -> None:
    project_id = await app.add_project()
    token = await app.token_of("ada", project_id=project_id, role=Role.ADMIN)
    async with app.serve() as http:
        headers = {**bearer(token), "X-Forwarded-For": "192.0.2.7"}
        _, service = await ask(http, "POST", "/v1/services", service_body(project_id), headers=headers)
        _, found = await ask(http, "GET", f"/v1/audit?object_id={service['id']}", headers=headers)
        _, me = await ask(http, "GET", "/v1/me", headers=headers)
    (record,) = found
    assert record == {
        "id": record["id"],
        "at": "2026-01-01T00:00:00Z",
        "actor": {
            "kind": "user",
            "id": me["principal"]["user"]["id"],
            "name": "ada",
            "token_kind": "api_token",
            "token_id": record["actor"]["token_id"],
        },
        "address": "192.0.2.7",
        "action": "service.create",
        "object_kind": "service",
        "object_id": service["id"],
        "project_id": project_id,
        "outcome": "done",
        "details": record["details"],
    }


async def test_the_audit_comes_in_pages_that_link_to_the_next_with_the_same_filter(app: App) -> None:
    for name in ("a", "b", "c"):
        await app.add_project(name)
    await app.add_user("ada")
    seen: list[Any] = []
    url: str | None = "/v1/audit?action=project&limit=1"
    async with app.serve() as http:
        while url is not None:
            async with http.get(url, headers=_SETUP) as answer:
                seen += await answer.json()
                following = answer.links.get("next")
                url = None if following is None else str(following["url"])
        assert [record["details"]["name"] for record in seen] == ["c", "b", "a"]
        assert await _actions(http, "?action=project&since=9999d") == ["project.create"] * 3
        assert await _actions(http, "?action=project&until=9999d") == []
        for bad in ("limit=0", "limit=x", "before=x", "since=yesterday", "since=2026-01-01T00:00:00", "actor="):
            assert (await ask(http, "GET", f"/v1/audit?{bad}", headers=_SETUP))[0] == 400, bad


async def test_what_was_forbidden_and_who_could_not_sign_in_stand_in_the_audit_too(app: App) -> None:
    project_id = await app.add_project()
    viewer = bearer(await app.token_of("eve", project_id=project_id, role=Role.VIEWER))
    admin = bearer(await app.token_of("ada", project_id=project_id, role=Role.ADMIN))
    async with app.serve() as http:
        path = f"/v1/projects/{project_id}"
        assert (await ask(http, "DELETE", f"{path}?ticket=abc", headers=viewer))[0] == 403
        assert (await ask(http, "GET", "/v1/users", headers=viewer))[0] == 403
        body = {"username": "eve", "password": "wrong"}
        assert (await ask(http, "POST", "/v1/auth/login", body))[0] == 401
        assert await _actions(http, "?outcome=refused") == ["session.create", "users.change", "project.delete"]
        _, found = await ask(http, "GET", "/v1/audit?outcome=refused", headers=admin)
    (record,) = found
    assert record["actor"]["name"] == "eve"
    assert (record["object_id"], record["project_id"]) == (project_id, project_id)
    assert record["details"] == {"request": f"DELETE {path}", "code": "forbidden"}


async def test_a_change_that_was_taken_back_is_not_in_the_audit(app: App) -> None:
    await app.add_user("ada")
    async with app.serve() as http:
        before = await _actions(http)
        body = {"username": "ada", "password": PASSWORD}
        assert (await ask(http, "POST", "/v1/users", body, headers=_SETUP))[0] == 409
        assert await _actions(http) == before


async def test_records_are_forgotten_when_they_need_not_be_kept_any_more(app: App) -> None:
    await app.add_project("old")
    await app.clock.advance(364 * 86_400)
    await app.add_project("new")
    assert await app.audit_trail.drop_old() == 0
    await app.clock.advance(2 * 86_400)
    assert await app.audit_trail.drop_old() == 1
    async with app.serve() as http:
        assert await _actions(http) == ["project.create"]

"""The first admin and users over `/v1`."""

from __future__ import annotations

from controld.model.role import Role
from tests.controld.app import PASSWORD, SETUP_SECRET, App, ask, bearer

_SETUP = bearer(SETUP_SECRET)


async def test_the_first_admin_is_made_once_in_the_life_of_a_database(app: App) -> None:
    async with app.serve() as http:
        _, before = await ask(http, "GET", "/v1/me", headers=_SETUP)
        assert before == {
            "principal": {"kind": "bootstrap"},
            "is_super_admin": True,
            "admin_initialized": False,
            "memberships": [],
        }
        for bad in ({"username": " ", "password": PASSWORD}, {"username": "root", "password": "1234567"}):
            assert (await ask(http, "POST", "/v1/bootstrap", bad, headers=_SETUP))[0] == 400
        status, user = await ask(
            http, "POST", "/v1/bootstrap", {"username": "root", "password": "12345678"}, headers=_SETUP
        )
        assert status == 201
        assert user["is_super_admin"] is True
        await app.add_user("second", super_admin=True)
        assert (await ask(http, "DELETE", f"/v1/users/{user['id']}", headers=_SETUP))[0] == 200
        status, fault = await ask(
            http, "POST", "/v1/bootstrap", {"username": "again", "password": "12345678"}, headers=_SETUP
        )
        assert (status, fault["code"]) == (409, "already_initialised")
        assert (await ask(http, "GET", "/v1/me", headers=_SETUP))[1]["admin_initialized"] is True


async def test_users_are_kept_by_super_admins_alone(app: App) -> None:
    async with app.serve() as http:
        body = {"username": "ada", "password": PASSWORD}
        status, ada = await ask(http, "POST", "/v1/users", body, headers=_SETUP)
        assert status == 201
        assert ada == {
            "id": ada["id"],
            "username": "ada",
            "is_super_admin": False,
            "created_at": "2026-01-01T00:00:00Z",
        }
        assert (await ask(http, "POST", "/v1/users", body, headers=_SETUP))[0] == 409
        for bad in ({"username": "", "password": PASSWORD}, {"username": "b", "password": "elevenbytes"}):
            assert (await ask(http, "POST", "/v1/users", bad, headers=_SETUP))[0] == 400
        plain = bearer(await app.token_of("ada"))
        for method, path in (
            ("GET", "/v1/users"),
            ("POST", "/v1/users"),
            ("DELETE", f"/v1/users/{ada['id']}"),
            ("GET", "/v1/users/directory"),
            ("POST", "/v1/bootstrap"),
        ):
            assert (await ask(http, method, path, body if method == "POST" else None, headers=plain))[0] == 403
        assert (await ask(http, "DELETE", f"/v1/users/{ada['id']}", headers=_SETUP)) == (200, {"deleted": True})
        assert (await ask(http, "DELETE", f"/v1/users/{ada['id']}", headers=_SETUP))[0] == 404
        assert (await ask(http, "GET", "/v1/me", headers=plain))[0] == 401


async def test_the_last_super_admin_cannot_be_deleted(app: App) -> None:
    root = await app.add_user("root", super_admin=True)
    async with app.serve() as http:
        status, fault = await ask(http, "DELETE", f"/v1/users/{root.id}", headers=_SETUP)
        assert (status, fault["code"]) == (409, "last_admin")


async def test_the_directory_is_for_those_who_choose_members(app: App) -> None:
    project_id = await app.add_project()
    token = await app.token_of("ada", project_id=project_id, role=Role.ADMIN)
    async with app.serve() as http:
        status, found = await ask(http, "GET", "/v1/users/directory", headers=bearer(token))
        assert status == 200
        assert [sorted(each) for each in found] == [["id", "username"]]


async def test_a_flag_of_null_means_what_its_absence_means(app: App) -> None:
    async with app.serve() as http:
        body = {"username": "ada", "password": "correct horse battery", "is_super_admin": None}
        status, made = await ask(http, "POST", "/v1/users", body, headers=bearer(SETUP_SECRET))
        assert (status, made["is_super_admin"]) == (201, False)

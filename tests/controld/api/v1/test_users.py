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


async def test_a_super_admin_replaces_a_password_and_that_ends_the_sessions(app: App) -> None:
    ada = await app.add_user("ada")
    async with app.serve() as http:
        _, session = await ask(http, "POST", "/v1/auth/login", {"username": "ada", "password": PASSWORD})
        path = f"/v1/users/{ada.id}"
        assert (await ask(http, "PATCH", path, {"password": "short"}, headers=_SETUP))[0] == 400
        status, told = await ask(http, "PATCH", path, {"password": "quite another one"}, headers=_SETUP)
        assert (status, told["username"]) == (200, "ada")
        assert (await ask(http, "GET", "/v1/me", headers=bearer(session["token"])))[0] == 401
        assert (await ask(http, "POST", "/v1/auth/login", {"username": "ada", "password": PASSWORD}))[0] == 401
        body = {"username": "ada", "password": "quite another one"}
        assert (await ask(http, "POST", "/v1/auth/login", body))[0] == 200
        root = await app.add_user("root", super_admin=True)
        mine = bearer(await app.token_of("root"))
        own = {"password": "quite another one"}
        assert (await ask(http, "PATCH", f"/v1/users/{root.id}", own, headers=mine))[0] == 400
        nobody = "/v1/users/018f3a5c-7b1e-7c3a-9d2f-0123456789ab"
        assert (await ask(http, "PATCH", nobody, own, headers=_SETUP))[0] == 404


async def test_a_super_admin_is_made_and_unmade_at_once_but_the_last_one_stays(app: App) -> None:
    root = await app.add_user("root", super_admin=True)
    ada = await app.add_user("ada")
    token = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        status, fault = await ask(http, "PATCH", f"/v1/users/{root.id}", {"is_super_admin": False}, headers=_SETUP)
        assert (status, fault["code"]) == (409, "last_admin")
        assert (await ask(http, "GET", "/v1/users", headers=token))[0] == 403
        _, told = await ask(http, "PATCH", f"/v1/users/{ada.id}", {"is_super_admin": True}, headers=_SETUP)
        assert told["is_super_admin"] is True
        assert (await ask(http, "GET", "/v1/users", headers=token))[0] == 200
        assert (await ask(http, "PATCH", f"/v1/users/{root.id}", {"is_super_admin": False}, headers=_SETUP))[0] == 200
        assert (await ask(http, "DELETE", f"/v1/users/{ada.id}", headers=_SETUP))[0] == 409


async def test_a_user_who_alone_administers_a_project_cannot_be_deleted(app: App) -> None:
    project_id = await app.add_project()
    ada = await app.caller("ada", project_id=project_id, role=Role.ADMIN)
    async with app.serve() as http:
        status, fault = await ask(http, "DELETE", f"/v1/users/{ada.user_id}", headers=_SETUP)
        assert (status, fault["code"]) == (409, "last_admin")
        assert project_id in fault["error"]
        await app.token_of("bob", project_id=project_id, role=Role.ADMIN)
        assert (await ask(http, "DELETE", f"/v1/users/{ada.user_id}", headers=_SETUP))[0] == 200


async def test_a_super_admin_ends_all_sessions_of_a_user(app: App) -> None:
    ada = await app.add_user("ada")
    async with app.serve() as http:
        _, session = await ask(http, "POST", "/v1/auth/login", {"username": "ada", "password": PASSWORD})
        path = f"/v1/users/{ada.id}/sessions"
        assert await ask(http, "DELETE", path, headers=_SETUP) == (200, {"revoked": 1})
        assert (await ask(http, "GET", "/v1/me", headers=bearer(session["token"])))[0] == 401

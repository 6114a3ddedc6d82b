"""Signing in, people and tokens over `/v1`."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from aiohttp import ClientSession

from controld.model.role import Role
from tests.controld.app import PASSWORD, SETUP_SECRET, App, bearer

_SETUP = bearer(SETUP_SECRET)


async def _ask(
    http: ClientSession, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    async with http.request(method, path, json=body, headers=headers) as answer:
        return answer.status, await answer.json() if await answer.read() else None


async def _sign_in(http: ClientSession, username: str, password: str = PASSWORD) -> tuple[int, Any]:
    return await _ask(http, "POST", "/v1/auth/login", {"username": username, "password": password})


async def test_the_first_admin_is_made_once_in_the_life_of_a_database(app: App) -> None:
    async with app.serve() as http:
        _, before = await _ask(http, "GET", "/v1/me", headers=_SETUP)
        assert before == {
            "principal": {"kind": "bootstrap"},
            "is_super_admin": True,
            "admin_initialized": False,
            "memberships": [],
        }
        for bad in ({"username": " ", "password": PASSWORD}, {"username": "root", "password": "1234567"}):
            assert (await _ask(http, "POST", "/v1/bootstrap", bad, headers=_SETUP))[0] == 400
        status, user = await _ask(
            http, "POST", "/v1/bootstrap", {"username": "root", "password": "12345678"}, headers=_SETUP
        )
        assert status == 201
        assert user["is_super_admin"] is True
        await app.add_user("second", super_admin=True)
        assert (await _ask(http, "DELETE", f"/v1/users/{user['id']}", headers=_SETUP))[0] == 200
        status, fault = await _ask(
            http, "POST", "/v1/bootstrap", {"username": "again", "password": "12345678"}, headers=_SETUP
        )
        assert (status, fault["code"]) == (409, "already_initialised")
        assert (await _ask(http, "GET", "/v1/me", headers=_SETUP))[1]["admin_initialized"] is True


async def test_a_sign_in_opens_a_session_and_signing_out_ends_it_at_once(app: App) -> None:
    user = await app.add_user("ada")
    async with app.serve() as http:
        status, session = await _sign_in(http, "ada")
        assert status == 200
        assert session["expires_at"] == "2026-01-02T00:00:00Z"
        mine = bearer(session["token"])
        _, me = await _ask(http, "GET", "/v1/me", headers=mine)
        assert me["principal"] == {
            "kind": "user",
            "user": {"id": user.id, "username": "ada", "created_at": "2026-01-01T00:00:00Z"},
        }
        assert me["is_super_admin"] is False
        assert await _ask(http, "POST", "/v1/auth/logout", headers=mine) == (200, {"logged_out": True})
        assert (await _ask(http, "GET", "/v1/me", headers=mine))[0] == 401
        assert await _ask(http, "POST", "/v1/auth/logout", headers=_SETUP) == (200, {"logged_out": True})


async def test_a_wrong_password_and_an_unknown_user_read_the_same(app: App) -> None:
    await app.add_user("ada")
    async with app.serve() as http:
        for username, password in (("ada", "wrong"), ("nobody", PASSWORD), ("ada", "x" * 5000), ("\0", "")):
            status, fault = await _sign_in(http, username, password)
            assert (status, fault) == (401, {"error": "invalid credentials", "code": "wrong_credentials"})


async def test_a_sign_in_with_any_credential_is_refused(app: App) -> None:
    async with app.serve() as http:
        body = {"username": "ada", "password": PASSWORD}
        for value in ("Bearer x", "nonsense", ""):
            status, _ = await _ask(http, "POST", "/v1/auth/login", body, headers={"Authorization": value})
            assert status == 400


async def test_sign_ins_are_limited_by_address_and_by_account(app: App) -> None:
    await app.add_user("ada")
    async with app.serve() as http:
        for _ in range(5):
            assert (await _sign_in(http, "ada"))[0] == 200
        async with http.post("/v1/auth/login", json={"username": "bob", "password": "x"}) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) == 60
            assert (await answer.json())["error"] == "too many login attempts, try again later"
        elsewhere = {"X-Forwarded-For": "192.0.2.9"}
        body = {"username": "ada", "password": PASSWORD}
        assert (await _ask(http, "POST", "/v1/auth/login", body, headers=elsewhere))[0] == 429
        body = {"username": "bob", "password": PASSWORD}
        assert (await _ask(http, "POST", "/v1/auth/login", body, headers=elsewhere))[0] == 401
        await app.clock.advance(61)
        assert (await _sign_in(http, "ada"))[0] == 200


async def test_sessions_are_listed_by_a_piece_of_their_hash_and_revoked_together(app: App) -> None:
    await app.add_user("ada")
    async with app.serve() as http:
        tokens = [(await _sign_in(http, "ada"))[1]["token"] for _ in range(2)]
        _, listed = await _ask(http, "GET", "/v1/auth/sessions", headers=bearer(tokens[0]))
        assert [len(session["id"]) for session in listed] == [8, 8]
        assert await _ask(http, "DELETE", "/v1/auth/sessions", headers=bearer(tokens[0])) == (200, {"revoked": 2})
        for token in tokens:
            assert (await _ask(http, "GET", "/v1/me", headers=bearer(token)))[0] == 401
        for method in ("GET", "DELETE"):
            assert (await _ask(http, method, "/v1/auth/sessions", headers=_SETUP))[0] == 409


async def test_a_changed_password_ends_the_other_sessions_and_keeps_this_one(app: App) -> None:
    await app.add_user("ada")
    async with app.serve() as http:
        here, other = [(await _sign_in(http, "ada"))[1]["token"] for _ in range(2)]
        body = {"current_password": "wrong", "new_password": "another good one"}
        assert (await _ask(http, "PUT", "/v1/me/password", body, headers=bearer(here)))[0] == 401
        body = {"current_password": PASSWORD, "new_password": "short"}
        assert (await _ask(http, "PUT", "/v1/me/password", body, headers=bearer(here)))[0] == 400
        body["new_password"] = "another good one"
        assert (await _ask(http, "PUT", "/v1/me/password", body, headers=bearer(here)))[0] == 200
        assert (await _ask(http, "GET", "/v1/me", headers=bearer(here)))[0] == 200
        assert (await _ask(http, "GET", "/v1/me", headers=bearer(other)))[0] == 401
        await app.clock.advance(61)
        assert (await _sign_in(http, "ada"))[0] == 401
        assert (await _sign_in(http, "ada", "another good one"))[0] == 200


async def test_users_are_kept_by_super_admins_alone(app: App) -> None:
    async with app.serve() as http:
        body = {"username": "ada", "password": PASSWORD}
        status, ada = await _ask(http, "POST", "/v1/users", body, headers=_SETUP)
        assert status == 201
        assert ada == {
            "id": ada["id"],
            "username": "ada",
            "is_super_admin": False,
            "created_at": "2026-01-01T00:00:00Z",
        }
        assert (await _ask(http, "POST", "/v1/users", body, headers=_SETUP))[0] == 409
        for bad in ({"username": "", "password": PASSWORD}, {"username": "b", "password": "elevenbytes"}):
            assert (await _ask(http, "POST", "/v1/users", bad, headers=_SETUP))[0] == 400
        plain = bearer(await app.token_of("ada"))
        for method, path in (
            ("GET", "/v1/users"),
            ("POST", "/v1/users"),
            ("DELETE", f"/v1/users/{ada['id']}"),
            ("GET", "/v1/users/directory"),
            ("POST", "/v1/bootstrap"),
        ):
            assert (await _ask(http, method, path, body if method == "POST" else None, headers=plain))[0] == 403
        assert (await _ask(http, "DELETE", f"/v1/users/{ada['id']}", headers=_SETUP)) == (200, {"deleted": True})
        assert (await _ask(http, "DELETE", f"/v1/users/{ada['id']}", headers=_SETUP))[0] == 404
        assert (await _ask(http, "GET", "/v1/me", headers=plain))[0] == 401


async def test_the_last_super_admin_cannot_be_deleted(app: App) -> None:
    root = await app.add_user("root", super_admin=True)
    async with app.serve() as http:
        status, fault = await _ask(http, "DELETE", f"/v1/users/{root.id}", headers=_SETUP)
        assert (status, fault["code"]) == (409, "last_admin")


async def test_the_directory_is_for_those_who_choose_members(app: App) -> None:
    project_id = await app.add_project()
    token = await app.token_of("ada", project_id=project_id, role=Role.ADMIN)
    async with app.serve() as http:
        status, found = await _ask(http, "GET", "/v1/users/directory", headers=bearer(token))
        assert status == 200
        assert [sorted(each) for each in found] == [["id", "username"]]


async def test_a_token_is_told_once_and_dies_when_it_is_revoked(app: App) -> None:
    owner = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        status, made = await _ask(http, "POST", "/v1/api-tokens", {"name": "ci"}, headers=owner)
        assert status == 201
        assert made["token"].startswith("moor_")
        assert (await _ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 200
        _, listed = await _ask(http, "GET", "/v1/api-tokens", headers=owner)
        assert listed[0]["name"] == "ci"
        assert made["token"] not in str(listed)
        other = bearer(await app.token_of("bob"))
        path = f"/v1/api-tokens/{made['id']}"
        assert (await _ask(http, "DELETE", path, headers=other))[0] == 404
        assert await _ask(http, "DELETE", path, headers=owner) == (200, {"revoked": True})
        assert (await _ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 401
        for method, at in (("GET", "/v1/api-tokens"), ("POST", "/v1/api-tokens"), ("DELETE", path)):
            body = {"name": "x"} if method == "POST" else None
            assert (await _ask(http, method, at, body, headers=_SETUP))[0] == 403


async def test_a_token_ends_when_it_said_it_would(app: App) -> None:
    owner = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        until = (app.clock.now() + dt.timedelta(hours=1)).isoformat()
        _, made = await _ask(http, "POST", "/v1/api-tokens", {"name": "ci", "expires_at": until}, headers=owner)
        assert (await _ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 200
        await app.clock.advance(3600)
        assert (await _ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 401
        past = {"name": "ci", "expires_at": "2020-01-01T00:00:00Z"}
        assert (await _ask(http, "POST", "/v1/api-tokens", past, headers=owner))[0] == 400


async def test_a_limited_token_cannot_make_one_without_limits(app: App) -> None:
    project_id = await app.add_project()
    owner = bearer(await app.token_of("ada", project_id=project_id, role=Role.ADMIN))
    async with app.serve() as http:
        body = {"name": "read", "project_id": project_id, "role": "viewer"}
        _, made = await _ask(http, "POST", "/v1/api-tokens", body, headers=owner)
        limited = bearer(made["token"])
        assert (await _ask(http, "POST", "/v1/api-tokens", {"name": "more"}, headers=limited))[0] == 403
        assert (await _ask(http, "GET", f"/v1/projects/{project_id}", headers=limited))[0] == 200
        assert (await _ask(http, "PUT", f"/v1/projects/{project_id}", {}, headers=limited))[0] == 403
        missing = {"name": "x", "project_id": "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"}
        assert (await _ask(http, "POST", "/v1/api-tokens", missing, headers=owner))[0] == 404


@pytest.mark.parametrize("path", ["/v1/node", "/v1/metrics/node"])
async def test_numbers_of_the_host_are_for_super_admins(app: App, path: str) -> None:
    from wire.link import HostReport

    app.reports.host = HostReport(
        cpu_user_jiffies=1,
        cpu_nice_jiffies=2,
        cpu_system_jiffies=3,
        cpu_idle_jiffies=4,
        cpu_iowait_jiffies=5,
        cpu_count=2,
        memory_total_bytes=6,
        memory_available_bytes=7,
        load_1m=0.5,
        load_5m=0.25,
        load_15m=0.125,
        disk_total_bytes=8,
        disk_available_bytes=9,
        recorded_at=app.clock.now(),
    )
    plain = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        _, seen = await _ask(http, "GET", path, headers=_SETUP)
        assert seen["cpu"]["iowait_jiffies"] == 5
        assert seen["recorded_at"] == "2026-01-01T00:00:00Z"
        status, hidden = await _ask(http, "GET", path, headers=plain)
        if path == "/v1/node":
            assert status == 200
            assert set(hidden.values()) == {None}
            assert "control_domain" in hidden
        else:
            assert status == 403


async def test_before_any_node_has_reported_the_numbers_are_null(app: App) -> None:
    async with app.serve() as http:
        assert (await _ask(http, "GET", "/v1/node", headers=_SETUP))[1]["cpu"] is None
        assert (await _ask(http, "GET", "/v1/metrics/node", headers=_SETUP))[0] == 503

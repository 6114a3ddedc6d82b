"""Signing in and out over `/v1`."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession

from tests.controld.app import PASSWORD, SETUP_SECRET, App, ask, bearer

_SETUP = bearer(SETUP_SECRET)


async def _sign_in(http: ClientSession, username: str, password: str = PASSWORD) -> tuple[int, Any]:
    return await ask(http, "POST", "/v1/auth/login", {"username": username, "password": password})


async def test_a_sign_in_opens_a_session_and_signing_out_ends_it_at_once(app: App) -> None:
    user = await app.add_user("ada")
    async with app.serve() as http:
        status, session = await _sign_in(http, "ada")
        assert status == 200
        assert session["expires_at"] == "2026-01-02T00:00:00Z"
        mine = bearer(session["token"])
        _, me = await ask(http, "GET", "/v1/me", headers=mine)
        assert me["principal"] == {
            "kind": "user",
            "user": {"id": user.id, "username": "ada", "created_at": "2026-01-01T00:00:00Z"},
        }
        assert me["is_super_admin"] is False
        assert await ask(http, "POST", "/v1/auth/logout", headers=mine) == (200, {"logged_out": True})
        assert (await ask(http, "GET", "/v1/me", headers=mine))[0] == 401
        assert await ask(http, "POST", "/v1/auth/logout", headers=_SETUP) == (200, {"logged_out": True})


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
            status, _ = await ask(http, "POST", "/v1/auth/login", body, headers={"Authorization": value})
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
        assert (await ask(http, "POST", "/v1/auth/login", body, headers=elsewhere))[0] == 429
        body = {"username": "bob", "password": PASSWORD}
        assert (await ask(http, "POST", "/v1/auth/login", body, headers=elsewhere))[0] == 401
        await app.clock.advance(61)
        assert (await _sign_in(http, "ada"))[0] == 200


async def test_sessions_are_listed_by_a_piece_of_their_hash_and_revoked_together(app: App) -> None:
    await app.add_user("ada")
    async with app.serve() as http:
        tokens = [(await _sign_in(http, "ada"))[1]["token"] for _ in range(2)]
        _, listed = await ask(http, "GET", "/v1/auth/sessions", headers=bearer(tokens[0]))
        assert [len(session["id"]) for session in listed] == [8, 8]
        assert sorted(session["current"] for session in listed) == [False, True]
        assert await ask(http, "DELETE", "/v1/auth/sessions", headers=bearer(tokens[0])) == (200, {"revoked": 2})
        for token in tokens:
            assert (await ask(http, "GET", "/v1/me", headers=bearer(token)))[0] == 401
        for method in ("GET", "DELETE"):
            assert (await ask(http, method, "/v1/auth/sessions", headers=_SETUP))[0] == 409


async def test_a_changed_password_ends_the_other_sessions_and_keeps_this_one(app: App) -> None:
    await app.add_user("ada")
    async with app.serve() as http:
        here, other = [(await _sign_in(http, "ada"))[1]["token"] for _ in range(2)]
        body = {"current_password": "wrong", "new_password": "another good one"}
        status, fault = await ask(http, "PUT", "/v1/me/password", body, headers=bearer(here))
        assert (status, fault["code"]) == (403, "wrong_password")
        body = {"current_password": PASSWORD, "new_password": "short"}
        assert (await ask(http, "PUT", "/v1/me/password", body, headers=bearer(here)))[0] == 400
        body["new_password"] = "another good one"
        assert (await ask(http, "PUT", "/v1/me/password", body, headers=bearer(here)))[0] == 200
        assert (await ask(http, "GET", "/v1/me", headers=bearer(here)))[0] == 200
        assert (await ask(http, "GET", "/v1/me", headers=bearer(other)))[0] == 401
        await app.clock.advance(61)
        assert (await _sign_in(http, "ada"))[0] == 401
        assert (await _sign_in(http, "ada", "another good one"))[0] == 200


async def test_one_session_is_ended_by_the_name_under_which_it_is_listed(app: App) -> None:
    await app.add_user("ada")
    stranger = bearer(await app.token_of("bob"))
    async with app.serve() as http:
        here, other = [bearer((await _sign_in(http, "ada"))[1]["token"]) for _ in range(2)]
        _, listed = await ask(http, "GET", "/v1/auth/sessions", headers=here)
        (name,) = [session["id"] for session in listed if not session["current"]]
        assert (await ask(http, "DELETE", f"/v1/auth/sessions/{name}", headers=stranger))[0] == 404
        assert (await ask(http, "GET", "/v1/me", headers=other))[0] == 200
        assert await ask(http, "DELETE", f"/v1/auth/sessions/{name}", headers=here) == (200, {"revoked": 1})
        assert (await ask(http, "GET", "/v1/me", headers=other))[0] == 401
        for missing in (name, "________", "%25", "0"):
            status, fault = await ask(http, "DELETE", f"/v1/auth/sessions/{missing}", headers=here)
            assert (status, fault["code"]) == (404, "session_not_found")

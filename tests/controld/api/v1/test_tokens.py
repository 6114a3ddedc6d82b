"""API tokens over `/v1`."""

from __future__ import annotations

import datetime as dt

from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, ask, bearer

_SETUP = bearer(SETUP_SECRET)


async def test_a_token_is_told_once_and_dies_when_it_is_revoked(app: App) -> None:
    owner = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        status, made = await ask(http, "POST", "/v1/api-tokens", {"name": "ci"}, headers=owner)
        assert status == 201
        assert made["token"].startswith("moor_")
        assert (await ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 200
        _, listed = await ask(http, "GET", "/v1/api-tokens", headers=owner)
        assert listed[0]["name"] == "ci"
        assert made["token"] not in str(listed)
        other = bearer(await app.token_of("bob"))
        path = f"/v1/api-tokens/{made['id']}"
        assert (await ask(http, "DELETE", path, headers=other))[0] == 404
        assert await ask(http, "DELETE", path, headers=owner) == (200, {"revoked": True})
        assert (await ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 401
        for method, at in (("GET", "/v1/api-tokens"), ("POST", "/v1/api-tokens"), ("DELETE", path)):
            body = {"name": "x"} if method == "POST" else None
            assert (await ask(http, method, at, body, headers=_SETUP))[0] == 403


async def test_a_token_ends_when_it_said_it_would(app: App) -> None:
    owner = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        until = (app.clock.now() + dt.timedelta(hours=1)).isoformat()
        _, made = await ask(http, "POST", "/v1/api-tokens", {"name": "ci", "expires_at": until}, headers=owner)
        assert (await ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 200
        await app.clock.advance(3600)
        assert (await ask(http, "GET", "/v1/me", headers=bearer(made["token"])))[0] == 401
        past = {"name": "ci", "expires_at": "2020-01-01T00:00:00Z"}
        assert (await ask(http, "POST", "/v1/api-tokens", past, headers=owner))[0] == 400


async def test_a_limited_token_cannot_make_one_without_limits(app: App) -> None:
    project_id = await app.add_project()
    owner = bearer(await app.token_of("ada", project_id=project_id, role=Role.ADMIN))
    async with app.serve() as http:
        body = {"name": "read", "project_id": project_id, "role": "viewer"}
        _, made = await ask(http, "POST", "/v1/api-tokens", body, headers=owner)
        limited = bearer(made["token"])
        assert (await ask(http, "POST", "/v1/api-tokens", {"name": "more"}, headers=limited))[0] == 403
        assert (await ask(http, "GET", f"/v1/projects/{project_id}", headers=limited))[0] == 200
        assert (await ask(http, "PUT", f"/v1/projects/{project_id}", {}, headers=limited))[0] == 403
        missing = {"name": "x", "project_id": "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"}
        assert (await ask(http, "POST", "/v1/api-tokens", missing, headers=owner))[0] == 404


async def test_the_end_of_a_token_is_told_in_utc_and_lies_within_the_calendar(app: App) -> None:
    owner = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        body = {"name": "ci", "expires_at": "2030-01-01T00:00:00+02:00"}
        _, made = await ask(http, "POST", "/v1/api-tokens", body, headers=owner)
        assert made["expires_at"] == "2029-12-31T22:00:00Z"
        _, listed = await ask(http, "GET", "/v1/api-tokens", headers=owner)
        assert listed[0]["expires_at"] == made["expires_at"]
        late = {"name": "ci", "expires_at": "9999-12-31T23:59:59-14:00"}
        assert (await ask(http, "POST", "/v1/api-tokens", late, headers=owner))[0] == 400

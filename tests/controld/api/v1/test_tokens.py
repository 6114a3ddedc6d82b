"""API tokens over `/v1`."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import ClientError, ClientSession

from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import make_ground
from tests.fakes.agents import FakeLog

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


async def test_a_limited_token_learns_nothing_of_its_users_other_credentials(app: App) -> None:
    project_id = await app.add_project()
    owner = bearer(await app.token_of("ada", project_id=project_id, role=Role.ADMIN))
    async with app.serve() as http:
        _, made = await ask(http, "POST", "/v1/api-tokens", {"name": "read", "role": "viewer"}, headers=owner)
        limited = bearer(made["token"])
        for path in ("/v1/api-tokens", "/v1/auth/sessions"):
            assert (await ask(http, "GET", path, headers=limited))[0] == 403
        _, me = await ask(http, "GET", "/v1/me", headers=limited)
        assert [each["role"] for each in me["memberships"]] == ["viewer"]


async def test_a_super_admins_token_with_any_ceiling_is_no_super_admin(app: App) -> None:
    await app.add_user("root", super_admin=True)
    owner = bearer(await app.token_of("root"))
    project_id = await app.add_project()
    async with app.serve() as http:
        _, made = await ask(http, "POST", "/v1/api-tokens", {"name": "x", "role": "admin"}, headers=owner)
        limited = bearer(made["token"])
        assert (await ask(http, "GET", "/v1/users", headers=limited))[0] == 403
        assert (await ask(http, "PUT", f"/v1/projects/{project_id}", {}, headers=limited))[0] == 200
        assert (await ask(http, "GET", "/v1/me", headers=limited))[1]["is_super_admin"] is False


async def test_a_super_admin_sees_and_revokes_anybodys_token_at_once(app: App) -> None:
    await app.add_user("root", super_admin=True)
    root = bearer(await app.token_of("root"))
    token = await app.token_of("ada")
    async with app.serve() as http:
        _, me = await ask(http, "GET", "/v1/me", headers=bearer(token))
        path = f"/v1/users/{me['principal']['user']['id']}/api-tokens"
        _, listed = await ask(http, "GET", path, headers=root)
        assert [each["name"] for each in listed] == ["test"]
        assert await ask(http, "DELETE", f"/v1/api-tokens/{listed[0]['id']}", headers=root) == (200, {"revoked": True})
        assert (await ask(http, "GET", "/v1/me", headers=bearer(token)))[0] == 401
        nobody = "/v1/users/018f3a5c-7b1e-7c3a-9d2f-0123456789ab/api-tokens"
        assert (await ask(http, "GET", nobody, headers=root))[0] == 404


async def test_when_a_token_was_last_used_is_told(app: App) -> None:
    token = bearer(await app.token_of("ada"))
    async with app.serve() as http:
        _, listed = await ask(http, "GET", "/v1/api-tokens", headers=token)
        assert listed[0]["last_used_at"] is None
        await app.clock.advance(60)
        await ask(http, "GET", "/v1/me", headers=token)
        await app.identities.write_uses()
        _, listed = await ask(http, "GET", "/v1/api-tokens", headers=token)
        assert listed[0]["last_used_at"] == "2026-01-01T00:01:00Z"


async def _revoke_token(app: App, http: ClientSession, token: str) -> None:
    _, listed = await ask(http, "GET", "/v1/api-tokens", headers=bearer(token))
    assert (await ask(http, "DELETE", f"/v1/api-tokens/{listed[0]['id']}", headers=bearer(token)))[0] == 200


async def _take_role(app: App, http: ClientSession, token: str) -> None:
    _, me = await ask(http, "GET", "/v1/me", headers=bearer(token))
    (membership,) = me["memberships"]
    path = f"/v1/projects/{membership['project_id']}/members"
    body = {"user_id": membership["user_id"], "role": "viewer"}
    assert (await ask(http, "POST", path, body, headers=_SETUP))[0] == 201


async def _delete_user(app: App, http: ClientSession, token: str) -> None:
    _, me = await ask(http, "GET", "/v1/me", headers=bearer(token))
    assert (await ask(http, "DELETE", f"/v1/users/{me['principal']['user']['id']}", headers=_SETUP))[0] == 200


@pytest.mark.parametrize("take_away", [_revoke_token, _take_role, _delete_user])
async def test_an_open_stream_ends_with_what_it_was_opened_with_long_before_its_next_beat(
    app: App, take_away: Callable[[App, ClientSession, str], Awaitable[None]]
) -> None:
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    app.agents.logs[ground.nodes[0]] = FakeLog()
    token = await app.token_of("ada", project_id=ground.service.project_id, role=Role.OPERATOR)
    path = f"/v1/services/{ground.service.id}/logs/stream"
    async with app.serve() as http, http.get(path, headers=bearer(token)) as answer:
        assert answer.status == 200
        async with asyncio.timeout(5):
            await take_away(app, http, token)
            with pytest.raises(ClientError):
                await answer.read()

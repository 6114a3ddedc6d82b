"""External registries over `/v1`: kept with what signs in to them, shown without it."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession

from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, ask, bearer, service_body

_ADMIN = bearer(SETUP_SECRET)
_BASIC = {"name": "ghcr", "endpoint": "ghcr.io", "auth_kind": "basic", "username": "bot", "password": "hush-1"}
_TOKEN = {"name": "ghcr", "endpoint": "ghcr.io", "auth_kind": "token", "token": "hush-2"}
_OPEN = {"name": "ghcr", "endpoint": "ghcr.io", "auth_kind": "anonymous"}
_NOWHERE = "018f3a5c-7b1e-7c3a-9d2f-0123456789ab"


async def _make(app: App, http: ClientSession, body: dict[str, Any] = _BASIC) -> tuple[str, dict[str, Any]]:
    """The path of the project's registries and the registry."""
    path = f"/v1/projects/{await app.add_project()}/registries"
    status, made = await ask(http, "POST", path, body, headers=_ADMIN)
    assert status == 201
    return path, made


async def test_a_registry_is_kept_and_shown_without_what_signs_in(app: App) -> None:
    async with app.serve() as http:
        path, made = await _make(app, http)
        project_id = made["project_id"]
        assert set(made) == {"id", "project_id", "name", "endpoint", "auth_kind", "credential_ref"}
        assert made["credential_ref"].startswith("registry-")
        assert len(made["credential_ref"]) == len("registry-") + 32
        assert app.secrets.kept == {
            (project_id, made["credential_ref"]): {"endpoint": "ghcr.io", "username": "bot", "password": "hush-1"}
        }
        viewer = bearer(await app.token_of("viewer", project_id=project_id, role=Role.VIEWER))
        assert await ask(http, "GET", path, headers=viewer) == (200, [made])
        assert await ask(http, "GET", f"{path}/{made['id']}", headers=viewer) == (200, made)
        written = str(await ask(http, "GET", "/v1/audit", headers=_ADMIN))
        assert "registries.create" in written
        assert "hush-1" not in written


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_registry_is_replaced_whole_and_keeps_its_id_and_ref(app: App, method: str) -> None:
    async with app.serve() as http:
        path, made = await _make(app, http)
        one = f"{path}/{made['id']}"
        changed = {**_TOKEN, "name": " renamed ", "endpoint": "quay.io"}
        status, after = await ask(http, method, one, changed, headers=_ADMIN)
        assert (status, after) == (200, {**made, "name": "renamed", "endpoint": "quay.io", "auth_kind": "token"})
        assert list(app.secrets.kept.values()) == [{"endpoint": "quay.io", "token": "hush-2"}]
        assert (await ask(http, method, one, {**_TOKEN, "token": None}, headers=_ADMIN))[0] == 422


async def test_one_that_becomes_anonymous_loses_its_secret_and_gets_a_new_ref_later(app: App) -> None:
    async with app.serve() as http:
        path, made = await _make(app, http)
        one = f"{path}/{made['id']}"
        _, after = await ask(http, "PUT", one, _OPEN, headers=_ADMIN)
        assert (after["auth_kind"], after["credential_ref"]) == ("anonymous", None)
        assert app.secrets.kept == {}
        _, again = await ask(http, "PUT", one, _BASIC, headers=_ADMIN)
        assert again["credential_ref"] not in {None, made["credential_ref"]}


async def test_a_name_that_is_taken_is_a_conflict_and_leaves_no_secret(app: App) -> None:
    async with app.serve() as http:
        path, made = await _make(app, http)
        status, fault = await ask(http, "POST", path, {**_TOKEN, "name": " ghcr "}, headers=_ADMIN)
        assert (status, fault["code"]) == (409, "name_taken")
        _, other = await ask(http, "POST", path, {**_OPEN, "name": "other"}, headers=_ADMIN)
        status, fault = await ask(http, "PUT", f"{path}/{other['id']}", _TOKEN, headers=_ADMIN)
        assert (status, fault["code"]) == (409, "name_taken")
        assert [key[1] for key in app.secrets.kept] == [made["credential_ref"]]
        elsewhere = await app.add_project("elsewhere")
        assert (await ask(http, "POST", f"/v1/projects/{elsewhere}/registries", _BASIC, headers=_ADMIN))[0] == 201


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"name": "  "}, 400),
        ({"endpoint": " "}, 400),
        ({"endpoint": "https://ghcr.io"}, 400),
        ({"endpoint": "ghcr.io/team"}, 400),
        ({"endpoint": "bot@ghcr.io"}, 400),
        ({"endpoint": "registry"}, 400),
        ({"endpoint": "localhost:5000"}, 400),
        ({"endpoint": "127.0.0.1:5000"}, 400),
        ({"endpoint": "10.1.2.3"}, 400),
        ({"endpoint": "100.64.0.1"}, 400),
        ({"endpoint": "169.254.169.254"}, 400),
        ({"endpoint": "[::ffff:10.0.0.1]:5000"}, 400),
        ({"endpoint": "0x7f000001:1"}, 400),
        ({"username": "a:b"}, 400),
        ({"password": ""}, 400),
        ({"password": "two\nlines"}, 400),
        ({"password": None}, 422),
        ({"username": None}, 422),
        ({"auth_kind": "token"}, 422),
        ({"auth_kind": "ecr_token"}, 422),
        ({"auth_kind": "gar_token"}, 422),
        ({"auth_kind": "secret_ref"}, 422),
    ],
    ids=str,
)
async def test_what_cannot_be_used_is_refused_and_not_repeated(app: App, changes: dict[str, Any], status: int) -> None:
    project_id = await app.add_project()
    async with app.serve() as http:
        path = f"/v1/projects/{project_id}/registries"
        refused, fault = await ask(http, "POST", path, {**_BASIC, **changes}, headers=_ADMIN)
        assert refused == status
        assert "hush" not in str(fault)
        assert await ask(http, "GET", path, headers=_ADMIN) == (200, [])
    assert app.secrets.kept == {}


async def test_a_registry_of_another_project_is_not_there(app: App) -> None:
    async with app.serve() as http:
        _, made = await _make(app, http)
        elsewhere = f"/v1/projects/{await app.add_project('elsewhere')}/registries/{made['id']}"
        for method, body in (("GET", None), ("PUT", _BASIC), ("DELETE", None)):
            status, fault = await ask(http, method, elsewhere, body, headers=_ADMIN)
            assert (status, fault["code"]) == (404, "registry_not_found")
        status, fault = await ask(http, "GET", f"/v1/projects/{_NOWHERE}/registries", headers=_ADMIN)
        assert (status, fault["code"]) == (404, "project_not_found")


async def test_a_registry_is_deleted_with_its_secret_once_no_service_names_it(app: App) -> None:
    async with app.serve() as http:
        path, made = await _make(app, http)
        one = f"{path}/{made['id']}"
        source = {"type": "external_image", "image": "", "registry_id": made["id"], "image_ref": "team/app:1"}
        body = service_body(made["project_id"], source=source)
        status, service = await ask(http, "POST", "/v1/services", body, headers=_ADMIN)
        assert (status, service["source"]) == (200, {**source, "credential": None})
        status, fault = await ask(http, "DELETE", one, headers=_ADMIN)
        assert (status, fault["code"]) == (409, "in_use")
        assert "service web" in fault["error"]
        await ask(http, "PUT", f"/v1/services/{service['id']}", service_body(made["project_id"]), headers=_ADMIN)
        assert await ask(http, "DELETE", one, headers=_ADMIN) == (200, {"deleted": True})
        assert (await ask(http, "GET", one, headers=_ADMIN))[0] == 404
    assert app.secrets.kept == {}


async def test_a_service_cannot_name_a_registry_of_another_project(app: App) -> None:
    async with app.serve() as http:
        _, made = await _make(app, http)
        elsewhere = await app.add_project("elsewhere")
        for registry_id in (made["id"], _NOWHERE):
            source = {"type": "external_image", "image": "", "registry_id": registry_id, "image_ref": "team/app:1"}
            body = service_body(elsewhere, source=source)
            status, fault = await ask(http, "POST", "/v1/services", body, headers=_ADMIN)
            assert (status, fault["code"]) == (404, "registry_not_found")


@pytest.mark.parametrize("image_ref", ["", "Team/app", "../app", "app:", "app@sha256:1", "a b", "-a", "//a", "a" * 513])
async def test_an_image_in_a_registry_is_named_by_its_path(app: App, image_ref: str) -> None:
    async with app.serve() as http:
        _, made = await _make(app, http)
        source = {"type": "external_image", "image": "", "registry_id": made["id"], "image_ref": image_ref}
        body = service_body(made["project_id"], source=source)
        assert (await ask(http, "POST", "/v1/services", body, headers=_ADMIN))[0] == 400

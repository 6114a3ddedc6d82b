"""Tokens of a few minutes over HTTP: fetched as Docker and OAuth 2 clients do, and good for their scopes alone."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from tests.registry import API, CALLERS, OTHER, TOKEN_SECONDS, WEB, World, bearer, push_blob, push_image, sha256
from tests.serving import serve

_REALM = "https://images.example/v2/token"


def _basic(caller: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anyone:{caller}".encode()).decode()}


async def _fetch(http: ClientSession, caller: str, *scopes: str) -> dict[str, str]:
    """The header that presents a fresh token."""
    params = [("service", "moorage"), *(("scope", scope) for scope in scopes)]
    async with http.get("/v2/token", params=params, headers=_basic(caller)) as answer:
        assert answer.status == 200, await answer.text()
        return {"Authorization": f"Bearer {(await answer.json())['token']}"}


@pytest.fixture
async def asking(registry_world: World) -> AsyncIterator[ClientSession]:
    """A session with a registry that asks for tokens."""
    async with serve(registry_world.surface(realm=_REALM)) as session:
        yield session


async def test_a_token_tells_how_long_it_lasts_and_what_for(registry_http: ClientSession) -> None:
    params = {"service": "moorage", "scope": f"repository:{WEB}:push,pull", "account": "anyone", "client_id": "docker"}
    async with registry_http.get("/v2/token", params=params, headers=_basic("operator")) as answer:
        assert answer.status == 200
        told = await answer.json()
    assert told["token"] == told["access_token"]
    assert told["expires_in"] == TOKEN_SECONDS
    assert told["scope"] == f"repository:{WEB}:pull,push"
    assert told["issued_at"].endswith("Z")


async def test_a_token_pushes_and_pulls_within_its_scope(registry_http: ClientSession) -> None:
    token = await _fetch(registry_http, "operator", f"repository:{WEB}:pull,push")
    url = f"/v2/{WEB}/blobs/uploads/?digest={sha256(b'x')}"
    async with registry_http.post(url, data=b"x", headers=token) as answer:
        assert answer.status == 201
    async with registry_http.get(f"/v2/{WEB}/blobs/{sha256(b'x')}", headers=token) as answer:
        assert await answer.read() == b"x"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v2/{API}/tags/list"),
        ("POST", f"/v2/{WEB}/blobs/uploads/"),
        ("DELETE", f"/v2/{WEB}/manifests/v1"),
        ("GET", "/v2/_catalog"),
    ],
)
async def test_a_token_is_no_good_for_anything_else(asking: ClientSession, method: str, path: str) -> None:
    token = await _fetch(asking, "operator", f"repository:{WEB}:pull")
    async with asking.request(method, path, headers=token) as answer:
        assert answer.status == 401
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert (await answer.json())["errors"][0]["code"] == "UNAUTHORIZED"


async def test_a_token_gives_nothing_that_its_holder_has_not(registry_http: ClientSession) -> None:
    token = await _fetch(registry_http, "viewer", f"repository:{WEB}:pull,push", f"repository:{OTHER}:pull,push")
    async with registry_http.post(f"/v2/{WEB}/blobs/uploads/", headers=token) as answer:
        assert answer.status == 403
    async with registry_http.get(f"/v2/{OTHER}/tags/list", headers=token) as answer:
        assert answer.status == 404


async def test_a_token_ends_with_the_credential_that_it_was_fetched_with(
    registry_http: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await _fetch(registry_http, "viewer", f"repository:{WEB}:pull")
    async with registry_http.get(f"/v2/{WEB}/tags/list", headers=token) as answer:
        assert answer.status == 200
    monkeypatch.delitem(CALLERS, "viewer")
    async with registry_http.get(f"/v2/{WEB}/tags/list", headers=token) as answer:
        assert answer.status == 401


async def test_a_token_mounts_only_from_where_its_scopes_let_it_pull(registry_http: ClientSession) -> None:
    digest = await push_blob(registry_http, b"layer", name=API)
    url = f"/v2/{WEB}/blobs/uploads/?mount={digest}&from={API}"
    narrow = await _fetch(registry_http, "operator", f"repository:{WEB}:pull,push")
    async with registry_http.post(f"/v2/{WEB}/blobs/uploads/?mount={digest}", headers=narrow) as answer:
        assert answer.status == 202
    async with registry_http.post(url, headers=narrow) as answer:
        assert answer.status == 401
    both = await _fetch(registry_http, "operator", f"repository:{WEB}:pull,push", f"repository:{API}:pull")
    async with registry_http.post(url, headers=both) as answer:
        assert answer.status == 201


async def test_a_token_fetches_no_token(registry_http: ClientSession) -> None:
    token = await _fetch(registry_http, "operator")
    async with registry_http.get("/v2/token", headers=token) as answer:
        assert answer.status == 401
    async with registry_http.get("/v2/", headers=token) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("headers", [{}, _basic("nobody"), {"Authorization": "Bearer moor_registry_nothing"}])
async def test_a_token_needs_a_credential(asking: ClientSession, headers: dict[str, str]) -> None:
    async with asking.get("/v2/token", headers=headers) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Moorage Registry"'


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "username": "anyone", "password": "viewer"}, 200),
        ({"grant_type": "refresh_token", "refresh_token": "viewer"}, 200),
        ({"grant_type": "password", "username": "anyone", "password": "nobody"}, 401),
        ({"grant_type": "password"}, 401),
        ({"grant_type": "authorization_code", "code": "x"}, 400),
        ({"grant_type": "password", "password": "x" * 20_000}, 413),
        ({}, 400),
    ],
)
async def test_a_token_is_fetched_by_a_form(registry_http: ClientSession, form: dict[str, str], status: int) -> None:
    body = {**form, "service": "moorage", "client_id": "containerd", "scope": f"repository:{WEB}:pull"}
    async with registry_http.post("/v2/token", data=body) as answer:
        assert answer.status == status
        told = await answer.json()
    if status == 200:
        async with registry_http.get(f"/v2/{WEB}/tags/list", headers=bearer(told["access_token"])) as answer:
            assert answer.status == 200


async def test_a_registry_that_asks_for_tokens_says_where_and_what_for(asking: ClientSession) -> None:
    told = f'Bearer realm="{_REALM}",service="moorage"'
    for method, path, more in (
        ("GET", "/v2/", ""),
        ("GET", f"/v2/{WEB}/manifests/v1", f',scope="repository:{WEB}:pull"'),
        ("POST", f"/v2/{WEB}/blobs/uploads/", f',scope="repository:{WEB}:pull,push"'),
        ("GET", "/v2/a%22/b%0d%0aX:1/tags/list", ""),
    ):
        async with asking.request(method, path) as answer:
            assert answer.status == 401
            assert answer.headers.getall("WWW-Authenticate") == [told + more]
    async with asking.get("/v2/", headers=bearer("nobody")) as answer:
        assert answer.headers["WWW-Authenticate"] == f'{told},error="invalid_token"'
    async with asking.get("/v2/", headers=_basic("viewer")) as answer:
        assert answer.status == 200


async def test_repositories_are_listed_in_parts_to_those_who_may_pull(registry_http: ClientSession) -> None:
    for name in (WEB, API, OTHER):
        await push_image(registry_http, "v1", b"config", name=name, caller="admin")
    for caller, names in (
        ("admin", ["mill/web", "shop/api", "shop/web"]),
        ("viewer", ["shop/api", "shop/web"]),
        ("stranger", []),
    ):
        async with registry_http.get("/v2/_catalog", headers=bearer(caller)) as answer:
            assert answer.status == 200
            assert await answer.json() == {"repositories": names}
            assert "Link" not in answer.headers
    async with registry_http.get("/v2/_catalog?n=2", headers=bearer("admin")) as answer:
        assert (await answer.json())["repositories"] == ["mill/web", "shop/api"]
        assert answer.headers["Link"] == '</v2/_catalog?n=2&last=shop%2Fapi>; rel="next"'
        following = answer.links["next"]["url"]
    async with registry_http.get(following, headers=bearer("admin")) as answer:
        assert (await answer.json())["repositories"] == ["shop/web"]
        assert "Link" not in answer.headers
    async with registry_http.get("/v2/_catalog?n=0", headers=bearer("admin")) as answer:
        assert (await answer.json())["repositories"] == []
    async with registry_http.get("/v2/_catalog?n=x", headers=bearer("admin")) as answer:
        assert answer.status == 400

"""Every route of `/v2` against every kind of caller, compared with the table in docs/roles.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import pytest

from kit.http.surface import Route
from tests.controld.app import App, ask, bearer, service_body
from tests.house.roles_page import read_table
from tests.registry import make_manifest, sha256
from tests.roles.callers import ADMITTED, HIDDEN, UNKNOWN, Who, expect, make_callers
from tests.roles.images import PROBES, SETUP, Images, basic, serve_images

_TABLE: Final = read_table("/v2")
_HOME, _ELSEWHERE, _NOWHERE = "home/web", "elsewhere/web", "nowhere/web"


@pytest.fixture
async def projects(app: App) -> dict[str, str]:
    """Ids of `home` and `elsewhere`, each with the services web and api."""
    ids = {name: await app.add_project(name) for name in ("home", "elsewhere")}
    async with app.serve() as http:
        for project_id in ids.values():
            for name in ("web", "api"):
                status, told = await ask(
                    http, "POST", "/v1/services", service_body(project_id, name=name), headers=SETUP
                )
                assert status < 300, told
    return ids


@pytest.fixture
async def images(app: App, projects: dict[str, str]) -> AsyncIterator[Images]:
    """A registry with an image in a repository of each project."""
    assert projects
    async with serve_images(app) as served:
        for repository in (_HOME, _ELSEWHERE):
            await served.push_image(repository, "v1")
        yield served


def _key(route: Route) -> str:
    return f"{route.method} {route.path}"


async def _try(
    images: Images, route: Route, headers: Mapping[str, str], *, repository: str = _HOME, wanted: str
) -> str:
    """What a caller learns of the route; what it may use up is made for those who are to be admitted."""
    probe = PROBES[_key(route)]
    made = probe.made
    if probe.fresh is not None and wanted == ADMITTED:
        made = await probe.fresh(images, repository)
    path = probe.path.format(repository=repository, made=made)
    headers = {**headers, "Content-Type": probe.media_type} if probe.data is not None else headers
    met, status, told = await images.ask(route.method, path, headers, data=probe.data)
    if status in probe.statuses:
        met = ADMITTED
    elif met == ADMITTED and status != route.status:
        return f"{status} {told[:300]!r}"
    return met if met != "something else" else f"{status} {told[:300]!r}"


@pytest.mark.timeout(300)
async def test_every_route_does_with_every_caller_what_the_table_says(
    app: App, images: Images, projects: dict[str, str]
) -> None:
    callers = await make_callers(app, home=projects["home"], elsewhere=projects["elsewhere"])
    routes = images.surface.routes
    assert set(PROBES) == {_key(route) for route in routes} == set(_TABLE)
    wrong: list[str] = []
    count = 0
    for route in routes:
        for who in callers:
            wanted = expect(_TABLE[_key(route)], who)
            for way, headers in _ways(who).items():
                count += 1
                if (met := await _try(images, route, headers, wanted=wanted)) != wanted:
                    wrong.append(f"{_key(route)} as {who.name} by {way}: {met}, not {wanted}")
    assert not wrong, "\n".join(wrong)
    print(f"\n/v2: {len(routes)} routes x {len(callers)} kinds of caller, {count} cells")


def _ways(who: Who) -> dict[str, dict[str, str]]:
    if who.credential is None:
        return {"nothing": {}}
    return {"bearer": who.headers, "basic": basic(who.credential)}


@pytest.mark.timeout(300)
async def test_a_registry_token_is_good_for_its_scope_within_the_role_behind_it(
    app: App, images: Images, projects: dict[str, str]
) -> None:
    callers = await make_callers(app, home=projects["home"], elsewhere=projects["elsewhere"])
    known = [who for who in callers if who.is_known and who.credential is not None]
    scopes = {
        "nothing": {"any": UNKNOWN, "viewer": UNKNOWN, "operator": UNKNOWN},
        f"repository:{_HOME}:pull": {"operator": UNKNOWN},
        f"repository:{_HOME}:pull,push": {},
        f"repository:{_ELSEWHERE}:pull,push": {"viewer": UNKNOWN, "operator": UNKNOWN},
    }
    wrong, count = [], 0
    for who in known:
        for scope, refused in scopes.items():
            headers = await _fetch(images, who, scope)
            for route in images.surface.routes:
                access = _TABLE[_key(route)]
                if route.path in {"/v2/", "/v2/token", "/v2/_catalog"}:
                    continue
                count += 1
                wanted = refused.get(access) or expect(access, who)
                if (met := await _try(images, route, headers, wanted=wanted)) != wanted:
                    wrong.append(f"{_key(route)} as {who.name} with {scope}: {met}, not {wanted}")
    assert not wrong, "\n".join(wrong)
    print(f"\n/v2: {count} cells with a registry token")


async def _fetch(images: Images, who: Who, scope: str) -> dict[str, str]:
    assert who.credential is not None
    async with images.http.get("/v2/token", params={"scope": scope}, headers=basic(who.credential)) as answer:
        assert answer.status == 200
        return bearer((await answer.json())["token"])


async def test_a_stranger_cannot_tell_a_repository_that_is_there_from_one_that_is_not(
    app: App, images: Images, projects: dict[str, str]
) -> None:
    callers = await make_callers(app, home=projects["home"], elsewhere=projects["elsewhere"])
    (stranger,) = [who for who in callers if who.name == "admin of another project"]
    upload_id = await images.start_upload(_HOME)
    for route in images.surface.routes:
        if _TABLE[_key(route)] not in {"viewer", "operator"}:
            continue
        probe = PROBES[_key(route)]
        answers = set()
        for repository in (_HOME, "home/nothing", _NOWHERE):
            path = probe.path.format(repository=repository, made=upload_id if "uploads" in probe.path else probe.made)
            met, status, told = await images.ask(route.method, path, stranger.headers, data=probe.data)
            assert met == HIDDEN
            answers.add((status, told.replace(repository.encode(), b"its name")))
        assert len(answers) == 1, (_key(route), answers)


async def test_ids_and_digests_of_other_repositories_are_not_there(
    app: App, images: Images, projects: dict[str, str]
) -> None:
    callers = await make_callers(app, home=projects["home"], elsewhere=projects["elsewhere"])
    (admin,) = [who for who in callers if who.name == "admin"]
    secret = await images.push_blob(_ELSEWHERE, b"secret")
    for foreign in ("home/api", _ELSEWHERE):
        upload_id = await images.start_upload(foreign)
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            url = f"/v2/{_HOME}/blobs/uploads/{upload_id}?digest={sha256(b'x')}"
            _, status, told = await images.ask(method, url, admin.headers, data=b"x" if method[0] == "P" else None)
            assert (status, b"BLOB_UPLOAD_UNKNOWN" in told) == (404, True), (method, foreign)
    for method in ("GET", "HEAD", "DELETE"):
        _, status, told = await images.ask(method, f"/v2/{_HOME}/blobs/{secret}", admin.headers)
        assert status == 404
        assert method == "HEAD" or b"BLOB_UNKNOWN" in told
    for query in (f"mount={secret}&from={_ELSEWHERE}", f"mount={secret}&from={_NOWHERE}", f"mount={secret}"):
        _, status, told = await images.ask("POST", f"/v2/{_HOME}/blobs/uploads/?{query}", admin.headers)
        assert (status, told) == (202, b"")
    naming = {**admin.headers, "Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    _, status, told = await images.ask(
        "PUT", f"/v2/{_HOME}/manifests/v2", naming, data=make_manifest(b"config", b"secret")
    )
    assert (status, b"MANIFEST_BLOB_UNKNOWN" in told) == (400, True)

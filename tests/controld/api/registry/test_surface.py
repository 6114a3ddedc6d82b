"""The registry's surface under the battery, and what each role may do."""

from __future__ import annotations

import base64

import pytest
from aiohttp import ClientSession

from tests.battery import Battery, Subject
from tests.registry import API, OTHER, WEB, World, bearer, make_manifest, push_blob, push_image, put_manifest


class TestRegistrySurface(Battery):
    @pytest.fixture
    def subject(self, registry_world: World) -> Subject:
        return Subject(surface=registry_world.surface(), credential=bearer("admin"), foreign=bearer("nobody"))


async def test_the_api_answers_at_its_root_with_and_without_a_slash(registry_http: ClientSession) -> None:
    for path in ("/v2/", "/v2"):
        async with registry_http.get(path, headers=bearer("stranger")) as answer:
            assert answer.status == 200
            assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


async def test_a_stranger_is_asked_to_sign_in_as_docker_does(registry_http: ClientSession) -> None:
    async with registry_http.get("/v2/") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="Moorage Registry"'
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        assert (await answer.json())["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Basic " + base64.b64encode(b"whoever:viewer").decode(), 200),
        ("Basic " + base64.b64encode(b":viewer").decode(), 200),
        ("basic " + base64.b64encode(b"a:viewer").decode(), 200),
        ("Basic " + base64.b64encode(b"viewer:").decode(), 401),
        ("Basic " + base64.b64encode(b"viewer").decode(), 401),
        ("Basic " + base64.b64encode(b"\xff:\xfe").decode(), 401),
        ("Basic !!!", 401),
        ("Bearer viewer", 200),
        ("Bearer ", 401),
        ("Bearer nobody", 401),
        ("Digest viewer", 401),
    ],
)
async def test_the_password_of_basic_is_the_token(registry_http: ClientSession, header: str, status: int) -> None:
    async with registry_http.get("/v2/", headers={"Authorization": header}) as answer:
        assert answer.status == status


async def test_a_viewer_pulls_and_may_not_push(registry_http: ClientSession) -> None:
    await push_image(registry_http, "v1", b"config", b"layer")
    async with registry_http.get(f"/v2/{WEB}/manifests/v1", headers=bearer("viewer")) as answer:
        assert answer.status == 200
    for method, path in (
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/v2"),
        ("DELETE", "manifests/v1"),
        ("DELETE", f"blobs/sha256:{'0' * 64}"),
    ):
        async with registry_http.request(method, f"/v2/{WEB}/{path}", headers=bearer("viewer")) as answer:
            assert answer.status == 403, (method, path)
            assert (await answer.json())["errors"][0]["code"] == "DENIED"


async def test_a_foreign_project_reads_like_one_that_is_not_there(registry_http: ClientSession) -> None:
    await push_image(registry_http, "v1", b"config", name=OTHER, caller="admin")
    told = set()
    for name in (OTHER, "nowhere/web", "mill/nothing", "mill/..", "mill/%20"):
        for method, path in (("GET", "tags/list"), ("GET", "manifests/v1"), ("POST", "blobs/uploads/")):
            async with registry_http.request(method, f"/v2/{name}/{path}", headers=bearer("operator")) as answer:
                error = (await answer.json())["errors"][0]
                told.add((answer.status, error["code"], error["message"].replace(str(name), "")[:20]))
    assert {each[:2] for each in told} == {(404, "NAME_UNKNOWN")}


async def test_a_name_that_has_not_two_parts_is_unknown(registry_http: ClientSession) -> None:
    for path in ("/v2/web/tags/list", "/v2/a/b/c/tags/list", "/v2/_nothing"):
        async with registry_http.get(path, headers=bearer("admin")) as answer:
            assert answer.status == 404
            assert (await answer.json())["errors"][0]["code"] == "NAME_UNKNOWN"


async def test_what_is_pushed_to_one_repository_is_not_in_another(registry_http: ClientSession) -> None:
    digest = await push_blob(registry_http, b"layer")
    async with registry_http.get(f"/v2/{API}/blobs/{digest}", headers=bearer("operator")) as answer:
        assert answer.status == 404
        assert (await answer.json())["errors"][0]["code"] == "BLOB_UNKNOWN"
    async with put_manifest(registry_http, "v1", make_manifest(b"layer"), name=API) as answer:
        assert answer.status == 400
        assert (await answer.json())["errors"][0] == {
            "code": "MANIFEST_BLOB_UNKNOWN",
            "message": f"cannot take the manifest: {API} does not hold {digest}",
            "detail": {"digest": digest},
        }

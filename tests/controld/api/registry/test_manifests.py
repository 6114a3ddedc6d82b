"""Manifests over HTTP: pushed, pulled, refused, referred to and deleted."""

from __future__ import annotations

import hashlib
import json

import pytest
from aiohttp import ClientSession
from yarl import URL

from controld.model.audit import AuditQuery
from controld.model.page import Page
from controld.model.registry import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from controld.store.audit import AuditStore
from tests.registry import (
    MAX_MANIFEST_BYTES,
    PROJECT_IDS,
    SERVICE_IDS,
    WEB,
    World,
    bearer,
    descriptor,
    make_manifest,
    push_blob,
    push_image,
    put_manifest,
    sha256,
)


async def test_a_manifest_is_found_by_its_tag_and_its_digest(registry_http: ClientSession) -> None:
    data = await push_image(registry_http, "v1", b"config", b"layer")
    for reference in ("v1", sha256(data)):
        for method in ("GET", "HEAD"):
            url = f"/v2/{WEB}/manifests/{reference}"
            async with registry_http.request(method, url, headers=bearer("viewer")) as answer:
                assert answer.status == 200
                assert answer.content_type == OCI_MANIFEST
                assert answer.headers["Docker-Content-Digest"] == sha256(data)
                assert answer.headers["Content-Length"] == str(len(data))
                assert await answer.read() == (data if method == "GET" else b"")


async def test_a_push_tells_where_the_manifest_is(registry_http: ClientSession) -> None:
    await push_blob(registry_http, b"config")
    data = make_manifest(b"config")
    async with put_manifest(registry_http, "v1", data) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == f"/v2/{WEB}/manifests/{sha256(data)}"
        assert answer.headers["Docker-Content-Digest"] == sha256(data)
        assert "OCI-Subject" not in answer.headers


async def test_a_manifest_may_be_pushed_under_its_sha512(registry_http: ClientSession) -> None:
    await push_blob(registry_http, b"config")
    data = make_manifest(b"config")
    digest = f"sha512:{hashlib.sha512(data).hexdigest()}"
    async with put_manifest(registry_http, digest, data) as answer:
        assert answer.status == 201
        assert answer.headers["Docker-Content-Digest"] == digest
    async with registry_http.get(f"/v2/{WEB}/manifests/{digest}", headers=bearer("viewer")) as answer:
        assert await answer.read() == data


async def test_a_tag_moves_and_what_it_named_stays(registry_http: ClientSession) -> None:
    first = await push_image(registry_http, "latest", b"one")
    second = await push_image(registry_http, "latest", b"two")
    async with registry_http.get(f"/v2/{WEB}/manifests/latest", headers=bearer("viewer")) as answer:
        assert await answer.read() == second
    async with registry_http.get(f"/v2/{WEB}/manifests/{sha256(first)}", headers=bearer("viewer")) as answer:
        assert await answer.read() == first


@pytest.mark.parametrize(
    ("data", "media_type", "code"),
    [
        pytest.param(b"{", OCI_MANIFEST, "MANIFEST_INVALID", id="not json"),
        pytest.param(b"\xff", OCI_MANIFEST, "MANIFEST_INVALID", id="not utf-8"),
        pytest.param(b"[]", OCI_MANIFEST, "MANIFEST_INVALID", id="not an object"),
        pytest.param(b'{"schemaVersion":2}', OCI_MANIFEST, "MANIFEST_INVALID", id="no config"),
        pytest.param(make_manifest(b"config", schemaVersion=1), OCI_MANIFEST, "MANIFEST_INVALID", id="version"),
        pytest.param(make_manifest(b"config"), DOCKER_MANIFEST, "MANIFEST_INVALID", id="says another type"),
        pytest.param(make_manifest(b"config"), "text/plain", "MANIFEST_INVALID", id="unknown type"),
        pytest.param(make_manifest(b"config", b"absent"), OCI_MANIFEST, "MANIFEST_BLOB_UNKNOWN", id="missing layer"),
        pytest.param(make_manifest(b"absent"), OCI_MANIFEST, "MANIFEST_BLOB_UNKNOWN", id="missing config"),
        pytest.param(
            json.dumps({"schemaVersion": 2, "manifests": [descriptor(b"absent", OCI_MANIFEST)]}).encode(),
            OCI_INDEX,
            "MANIFEST_BLOB_UNKNOWN",
            id="missing child",
        ),
        pytest.param(
            make_manifest(b"config", subject={"mediaType": OCI_MANIFEST, "digest": "sha256:1", "size": 1}),
            OCI_MANIFEST,
            "MANIFEST_INVALID",
            id="bad subject",
        ),
    ],
)
async def test_a_manifest_that_cannot_be_used_is_refused(
    registry_http: ClientSession, data: bytes, media_type: str, code: str
) -> None:
    await push_blob(registry_http, b"config")
    async with put_manifest(registry_http, "v1", data, media_type=media_type) as answer:
        assert answer.status == 400
        assert (await answer.json())["errors"][0]["code"] == code
    async with registry_http.get(f"/v2/{WEB}/manifests/v1", headers=bearer("viewer")) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("reference", "code"),
    [("sha256:" + "0" * 64, "DIGEST_INVALID"), (".bad", "MANIFEST_INVALID"), ("a" * 129, "MANIFEST_INVALID")],
)
async def test_a_manifest_is_not_taken_under_a_wrong_name(
    registry_http: ClientSession, reference: str, code: str
) -> None:
    await push_blob(registry_http, b"config")
    async with put_manifest(registry_http, reference, make_manifest(b"config")) as answer:
        assert answer.status == 400
        assert (await answer.json())["errors"][0]["code"] == code


async def test_a_manifest_over_the_limit_is_refused(registry_http: ClientSession) -> None:
    async with put_manifest(registry_http, "v1", b" " * (MAX_MANIFEST_BYTES + 1)) as answer:
        assert answer.status == 413
        assert (await answer.json())["errors"][0]["code"] == "SIZE_INVALID"


async def test_layers_that_are_kept_elsewhere_need_not_be_here(registry_http: ClientSession) -> None:
    await push_blob(registry_http, b"config")
    foreign = descriptor(b"windows", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    data = make_manifest(b"config", layers=[foreign])
    async with put_manifest(registry_http, "v1", data) as answer:
        assert answer.status == 201


async def test_an_index_over_manifests_that_are_here(registry_http: ClientSession) -> None:
    child = await push_image(registry_http, "amd64", b"config", b"layer")
    index = json.dumps({"schemaVersion": 2, "manifests": [descriptor(child, OCI_MANIFEST)]}).encode()
    async with put_manifest(registry_http, "all", index, media_type=OCI_INDEX) as answer:
        assert answer.status == 201
    async with registry_http.get(f"/v2/{WEB}/manifests/all", headers=bearer("viewer")) as answer:
        assert answer.content_type == OCI_INDEX
        assert await answer.read() == index


@pytest.mark.parametrize("reference", ["nothing", ".INVALID_NAME", "sha256:" + "0" * 64, "sha256:1"])
async def test_a_manifest_that_is_not_there(registry_http: ClientSession, reference: str) -> None:
    for method in ("GET", "DELETE"):
        url = f"/v2/{WEB}/manifests/{reference}"
        async with registry_http.request(method, url, headers=bearer("operator")) as answer:
            assert answer.status == 404
            assert (await answer.json())["errors"][0]["code"] == "MANIFEST_UNKNOWN"


async def test_deleting_a_tag_leaves_the_manifest(registry_http: ClientSession) -> None:
    data = await push_image(registry_http, "v1", b"config")
    async with registry_http.delete(f"/v2/{WEB}/manifests/v1", headers=bearer("operator")) as answer:
        assert answer.status == 202
    async with registry_http.get(f"/v2/{WEB}/manifests/v1", headers=bearer("viewer")) as answer:
        assert answer.status == 404
    async with registry_http.get(f"/v2/{WEB}/manifests/{sha256(data)}", headers=bearer("viewer")) as answer:
        assert answer.status == 200


async def test_deleting_a_manifest_takes_its_tags_along(registry_http: ClientSession) -> None:
    data = await push_image(registry_http, "v1", b"config")
    async with put_manifest(registry_http, "v2", data) as answer:
        assert answer.status == 201
    async with registry_http.delete(f"/v2/{WEB}/manifests/{sha256(data)}", headers=bearer("operator")) as answer:
        assert answer.status == 202
    async with registry_http.get(f"/v2/{WEB}/tags/list", headers=bearer("viewer")) as answer:
        assert (await answer.json())["tags"] == []


async def test_what_refers_to_a_manifest_is_listed_even_before_it_is_there(registry_http: ClientSession) -> None:
    image = make_manifest(b"config")
    await push_blob(registry_http, b"{}")
    signature = make_manifest(b"{}", artifactType="x/signature", subject=descriptor(image, OCI_MANIFEST))
    report = make_manifest(b"{}", subject=descriptor(image, OCI_MANIFEST), annotations={"by": "scanner"})
    for each in (signature, report):
        async with put_manifest(registry_http, sha256(each), each) as answer:
            assert answer.status == 201
            assert answer.headers["OCI-Subject"] == sha256(image)
    url = f"/v2/{WEB}/referrers/{sha256(image)}"
    async with registry_http.get(url, headers=bearer("viewer")) as answer:
        assert answer.status == 200
        assert answer.content_type == OCI_INDEX
        index = await answer.json(content_type=OCI_INDEX)
    assert index["schemaVersion"] == 2
    by_digest = {each["digest"]: each for each in index["manifests"]}
    assert by_digest[sha256(signature)]["artifactType"] == "x/signature"
    assert by_digest[sha256(report)] == {
        "mediaType": OCI_MANIFEST,
        "digest": sha256(report),
        "size": len(report),
        "artifactType": "application/vnd.oci.image.config.v1+json",
        "annotations": {"by": "scanner"},
    }
    async with registry_http.get(f"{url}?artifactType=x/signature", headers=bearer("viewer")) as answer:
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        listed = (await answer.json(content_type=OCI_INDEX))["manifests"]
        assert [each["digest"] for each in listed] == [sha256(signature)]


async def test_many_referrers_come_in_parts(registry_http: ClientSession) -> None:
    image = make_manifest(b"config")
    await push_blob(registry_http, b"{}")
    for number in range(101):
        data = make_manifest(b"{}", subject=descriptor(image, OCI_MANIFEST), annotations={"n": str(number)})
        async with put_manifest(registry_http, sha256(data), data) as answer:
            assert answer.status == 201
    seen: list[str] = []
    url: str | None = f"/v2/{WEB}/referrers/{sha256(image)}"
    while url is not None:
        async with registry_http.get(url, headers=bearer("viewer")) as answer:
            page = (await answer.json(content_type=OCI_INDEX))["manifests"]
            seen += [each["digest"] for each in page]
            url = URL(answer.links["next"]["url"]).path_qs if "next" in answer.links else None
    assert len(seen) == len(set(seen)) == 101


async def test_what_nothing_refers_to_has_an_empty_list(registry_http: ClientSession) -> None:
    async with registry_http.get(f"/v2/{WEB}/referrers/{sha256(b'x')}", headers=bearer("viewer")) as answer:
        assert answer.status == 200
        assert (await answer.json(content_type=OCI_INDEX))["manifests"] == []
    async with registry_http.get(f"/v2/{WEB}/referrers/sha256:1", headers=bearer("viewer")) as answer:
        assert answer.status == 400


async def test_who_pushed_and_deleted_what_stands_in_the_audit(
    registry_http: ClientSession, registry_world: World
) -> None:
    data = await push_image(registry_http, "v1", b"config", b"layer")
    async with put_manifest(registry_http, "v2", data, caller="viewer") as answer:
        assert answer.status == 403
    async with put_manifest(registry_http, "v2", b"{}") as answer:
        assert answer.status == 400
    for path in ("manifests/v1", f"manifests/{sha256(data)}", f"blobs/{sha256(b'layer')}", "manifests/v1"):
        async with registry_http.delete(f"/v2/{WEB}/{path}", headers=bearer("operator")) as answer:
            await answer.read()
    async with registry_world.database.read() as tx:
        records = await AuditStore().list(tx, AuditQuery(), page=Page(limit=100))
    whose = {(record.actor["name"], record.object_id, record.project_id) for record in records}
    assert whose == {("ann", SERVICE_IDS[WEB], PROJECT_IDS["shop"])}
    told = [(record.action, record.details["reference"]) for record in reversed(records)]
    assert set(told[:2]) == {("image.upload", sha256(blob)) for blob in (b"config", b"layer")}
    assert told[2:] == [
        ("image.push", "v1"),
        ("image.delete", "v1"),
        ("image.delete", sha256(data)),
        ("image.delete", sha256(b"layer")),
    ]

"""Blobs over HTTP: whole, in parts, and gone."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession

from tests.registry import WEB, bearer, push_blob, sha256

_DATA = bytes(range(256)) * 16


async def test_a_blob_comes_back_as_it_was_pushed(registry_http: ClientSession) -> None:
    digest = await push_blob(registry_http, _DATA)
    async with registry_http.get(f"/v2/{WEB}/blobs/{digest}", headers=bearer("viewer")) as answer:
        assert answer.status == 200
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.content_type == "application/octet-stream"
        assert await answer.read() == _DATA


async def test_head_tells_the_size_of_a_blob(registry_http: ClientSession) -> None:
    digest = await push_blob(registry_http, _DATA)
    async with registry_http.head(f"/v2/{WEB}/blobs/{digest}", headers=bearer("viewer")) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(len(_DATA))
        assert answer.headers["Docker-Content-Digest"] == digest


@pytest.mark.parametrize(
    ("asked", "status", "part", "told"),
    [
        ("bytes=0-0", 206, _DATA[:1], "bytes 0-0/4096"),
        ("bytes=10-99", 206, _DATA[10:100], "bytes 10-99/4096"),
        ("bytes=4000-", 206, _DATA[4000:], "bytes 4000-4095/4096"),
        ("bytes=-5", 206, _DATA[-5:], "bytes 4091-4095/4096"),
        ("bytes=4090-9999", 206, _DATA[4090:], "bytes 4090-4095/4096"),
        ("bytes=4096-", 416, b"", "bytes */4096"),
        ("bytes=9-3", 416, b"", "bytes */4096"),
    ],
)
async def test_a_range_of_a_blob(registry_http: ClientSession, asked: str, status: int, part: bytes, told: str) -> None:
    digest = await push_blob(registry_http, _DATA)
    headers = {**bearer("viewer"), "Range": asked}
    async with registry_http.get(f"/v2/{WEB}/blobs/{digest}", headers=headers) as answer:
        assert answer.status == status
        assert answer.headers["Content-Range"] == told
        if status == 416:
            assert (await answer.json())["errors"][0]["code"] == "RANGE_INVALID"
        else:
            assert await answer.read() == part


async def test_an_empty_blob_is_a_blob(registry_http: ClientSession) -> None:
    digest = await push_blob(registry_http, b"")
    async with registry_http.get(f"/v2/{WEB}/blobs/{digest}", headers=bearer("viewer")) as answer:
        assert answer.status == 200
        assert await answer.read() == b""


async def test_a_blob_that_is_not_there(registry_http: ClientSession) -> None:
    for method in ("GET", "HEAD", "DELETE"):
        url = f"/v2/{WEB}/blobs/{sha256(b'nothing')}"
        async with registry_http.request(method, url, headers=bearer("operator")) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("digest", ["sha256:12", "sha256:" + "A" * 64, "md5:" + "0" * 32, "latest"])
async def test_a_digest_that_cannot_be_read(registry_http: ClientSession, digest: str) -> None:
    for method in ("GET", "DELETE"):
        async with registry_http.request(method, f"/v2/{WEB}/blobs/{digest}", headers=bearer("operator")) as answer:
            assert answer.status == 400
            assert (await answer.json())["errors"][0]["code"] == "DIGEST_INVALID"


async def test_a_deleted_blob_is_gone_from_its_repository(registry_http: ClientSession) -> None:
    digest = await push_blob(registry_http, _DATA)
    url = f"/v2/{WEB}/blobs/{digest}"
    async with registry_http.delete(url, headers=bearer("operator")) as answer:
        assert answer.status == 202
    for method in ("GET", "DELETE"):
        async with registry_http.request(method, url, headers=bearer("operator")) as answer:
            assert answer.status == 404

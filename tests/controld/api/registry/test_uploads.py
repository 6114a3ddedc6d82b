"""Blobs on their way in over HTTP: whole, in chunks, mounted, cut short, wrong and too large."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from tests.registry import API, MAX_BLOB_BYTES, OTHER, WEB, World, bearer, push_blob, sha256
from tests.serving import running, session_to

_DATA = bytes(range(256)) * 8
_PUSHER = bearer("operator")


async def _start(http: ClientSession) -> str:
    async with http.post(f"/v2/{WEB}/blobs/uploads/", headers=_PUSHER) as answer:
        assert answer.status == 202
        assert answer.headers["Range"] == "0-0"
        location = answer.headers["Location"]
        assert location == f"/v2/{WEB}/blobs/uploads/{answer.headers['Docker-Upload-UUID']}"
        return location


async def _patch(http: ClientSession, location: str, data: bytes, *, span: str | None = None) -> tuple[int, str]:
    headers = _PUSHER if span is None else {**_PUSHER, "Content-Range": span}
    async with http.patch(location, data=data, headers=headers) as answer:
        return answer.status, answer.headers.get("Range", "")


async def _finish(http: ClientSession, location: str, digest: str, data: bytes = b"") -> tuple[int, str]:
    async with http.put(f"{location}?digest={digest}", data=data, headers=_PUSHER) as answer:
        code = "" if answer.status == 201 else (await answer.json())["errors"][0]["code"]
        return answer.status, code


async def _has(http: ClientSession, digest: str) -> bool:
    async with http.head(f"/v2/{WEB}/blobs/{digest}", headers=_PUSHER) as answer:
        return answer.status == 200


async def test_a_blob_in_chunks(registry_http: ClientSession, registry_world: World) -> None:
    location = await _start(registry_http)
    assert await _patch(registry_http, location, _DATA[:1000], span="0-999") == (202, "0-999")
    assert await _patch(registry_http, location, _DATA[1000:1500], span="1000-1499") == (202, "0-1499")
    async with registry_http.get(location, headers=_PUSHER) as answer:
        assert answer.status == 204
        assert answer.headers["Range"] == "0-1499"
        assert answer.headers["Location"] == location
    async with registry_http.put(
        f"{location}?digest={sha256(_DATA)}", data=_DATA[1500:], headers={**_PUSHER, "Content-Range": "1500-2047"}
    ) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == f"/v2/{WEB}/blobs/{sha256(_DATA)}"
        assert answer.headers["Docker-Content-Digest"] == sha256(_DATA)
    assert await _has(registry_http, sha256(_DATA))
    assert registry_world.parts() == []
    async with registry_http.get(location, headers=_PUSHER) as answer:
        assert answer.status == 404
        assert (await answer.json())["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"


async def test_a_blob_as_one_stream_as_docker_sends_it(registry_http: ClientSession) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(_DATA), 300):
            yield _DATA[start : start + 300]

    location = await _start(registry_http)
    async with registry_http.patch(location, data=pieces(), headers=_PUSHER) as answer:
        assert answer.status == 202
        assert answer.headers["Range"] == f"0-{len(_DATA) - 1}"
    assert await _finish(registry_http, location, sha256(_DATA)) == (201, "")


async def test_a_blob_whole_at_the_end(registry_http: ClientSession) -> None:
    assert await _finish(registry_http, await _start(registry_http), sha256(_DATA), _DATA) == (201, "")
    assert await _has(registry_http, sha256(_DATA))


async def test_a_blob_by_its_sha512(registry_http: ClientSession) -> None:
    digest = f"sha512:{hashlib.sha512(_DATA).hexdigest()}"
    location = await _start(registry_http)
    await _patch(registry_http, location, _DATA[:100])
    assert await _finish(registry_http, location, digest, _DATA[100:]) == (201, "")
    async with registry_http.get(f"/v2/{WEB}/blobs/{digest}", headers=_PUSHER) as answer:
        assert await answer.read() == _DATA


@pytest.mark.parametrize("span", ["500-599", "1001-1100", "0-99"])
async def test_a_chunk_that_does_not_begin_where_the_upload_stands(registry_http: ClientSession, span: str) -> None:
    location = await _start(registry_http)
    await _patch(registry_http, location, _DATA[:1000], span="0-999")
    assert (await _patch(registry_http, location, b"x" * 100, span=span))[0] == 416
    assert await _patch(registry_http, location, _DATA[1000:], span="1000-2047") == (202, "0-2047")
    assert await _finish(registry_http, location, sha256(_DATA)) == (201, "")


@pytest.mark.parametrize("span", ["0-50", "0-100", "5", "9-3", "a-b"])
async def test_a_chunk_that_is_not_what_its_range_says_changes_nothing(registry_http: ClientSession, span: str) -> None:
    location = await _start(registry_http)
    assert (await _patch(registry_http, location, b"x" * 100, span=span))[0] == 400
    assert await _finish(registry_http, location, sha256(_DATA), _DATA) == (201, "")


async def test_a_stream_that_is_not_what_its_range_says_is_taken_back(registry_http: ClientSession) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 70

    location = await _start(registry_http)
    await _patch(registry_http, location, _DATA[:10])
    headers = {**_PUSHER, "Content-Range": "10-99"}
    async with registry_http.patch(location, data=pieces(), headers=headers) as answer:
        assert answer.status == 400
    assert await _finish(registry_http, location, sha256(_DATA), _DATA[10:]) == (201, "")


async def test_a_wrong_digest_ends_the_upload(registry_http: ClientSession, registry_world: World) -> None:
    location = await _start(registry_http)
    assert await _finish(registry_http, location, sha256(b"other"), _DATA) == (400, "DIGEST_INVALID")
    assert await _finish(registry_http, location, sha256(_DATA), _DATA) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert registry_world.parts() == []
    assert registry_world.stored() == set()


@pytest.mark.parametrize("digest", ["", "sha256:1", "md5:" + "0" * 32])
async def test_a_digest_that_cannot_be_read_leaves_the_upload(registry_http: ClientSession, digest: str) -> None:
    location = await _start(registry_http)
    assert await _finish(registry_http, location, digest, _DATA) == (400, "DIGEST_INVALID")
    assert await _finish(registry_http, location, sha256(_DATA), _DATA) == (201, "")


async def test_a_whole_blob_with_a_wrong_digest_leaves_nothing(
    registry_http: ClientSession, registry_world: World
) -> None:
    url = f"/v2/{WEB}/blobs/uploads/?digest={sha256(b'other')}"
    async with registry_http.post(url, data=_DATA, headers=_PUSHER) as answer:
        assert answer.status == 400
    assert registry_world.parts() == []
    assert registry_world.stored() == set()


async def test_a_blob_over_the_limit_is_refused_before_it_is_sent(
    registry_http: ClientSession, registry_world: World
) -> None:
    async def first_byte() -> AsyncIterator[bytes]:
        yield b"x"

    location = await _start(registry_http)
    headers = {**_PUSHER, "Content-Range": f"0-{MAX_BLOB_BYTES}"}
    async with registry_http.patch(location, data=first_byte(), headers=headers) as answer:
        assert answer.status == 413
        assert (await answer.json())["errors"][0]["code"] == "SIZE_INVALID"
    assert registry_world.parts() == []


async def test_an_upload_can_be_cancelled(registry_http: ClientSession, registry_world: World) -> None:
    location = await _start(registry_http)
    await _patch(registry_http, location, _DATA)
    async with registry_http.delete(location, headers=_PUSHER) as answer:
        assert answer.status == 204
    for method in ("GET", "PATCH", "DELETE"):
        async with registry_http.request(method, location, headers=_PUSHER) as answer:
            assert answer.status == 404
    assert registry_world.parts() == []


async def test_an_upload_belongs_to_its_repository(registry_http: ClientSession) -> None:
    location = (await _start(registry_http)).replace(str(WEB), str(API))
    assert (await _patch(registry_http, location, _DATA))[0] == 404


async def test_an_upload_that_never_was(registry_http: ClientSession) -> None:
    assert (await _patch(registry_http, f"/v2/{WEB}/blobs/uploads/{uuid.uuid4()}", _DATA))[0] == 404
    assert (await _patch(registry_http, f"/v2/{WEB}/blobs/uploads/not-an-id", _DATA))[0] == 400


async def test_a_blob_is_mounted_from_where_the_caller_may_pull(
    registry_http: ClientSession, registry_world: World
) -> None:
    digest = await push_blob(registry_http, _DATA, name=OTHER, caller="admin")
    url = f"/v2/{WEB}/blobs/uploads/?mount={digest}&from={OTHER}"
    async with registry_http.post(url, headers=bearer("operator")) as answer:
        assert answer.status == 202  # it may not know that the other repository is there
    async with registry_http.post(url, headers=bearer("both")) as answer:
        assert answer.status == 201
        assert answer.headers["Location"] == f"/v2/{WEB}/blobs/{digest}"
        assert answer.headers["Docker-Content-Digest"] == digest
    assert await _has(registry_http, digest)
    assert registry_world.stored() == {digest}


async def test_a_blob_is_mounted_from_anywhere_that_the_caller_may_pull_from(registry_http: ClientSession) -> None:
    near, far = (
        await push_blob(registry_http, b"near", name=API),
        await push_blob(registry_http, b"far", name=OTHER, caller="admin"),
    )
    for caller, digest, status in (("operator", near, 201), ("operator", far, 202), ("both", far, 201)):
        url = f"/v2/{WEB}/blobs/uploads/?mount={digest}"
        async with registry_http.post(url, headers=bearer(caller)) as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    "query",
    [f"mount={sha256(b'absent')}&from={API}", f"mount={sha256(b'x')}", f"mount={sha256(b'x')}&from=nowhere"],
)
async def test_what_cannot_be_mounted_is_uploaded(registry_http: ClientSession, query: str) -> None:
    async with registry_http.post(f"/v2/{WEB}/blobs/uploads/?{query}", headers=_PUSHER) as answer:
        assert answer.status == 202
        location = answer.headers["Location"]
    assert await _finish(registry_http, location, sha256(_DATA), _DATA) == (201, "")


async def test_a_second_writer_is_told_that_the_upload_is_busy(registry_http: ClientSession) -> None:
    more = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield _DATA[:100]
        await more.wait()
        yield _DATA[100:]

    async def first() -> int:
        status = 409  # as long as it meets a look of the other's
        while status == 409:
            async with registry_http.patch(location, data=pieces(), headers=_PUSHER) as answer:
                status = answer.status
        return status

    location = await _start(registry_http)
    slow = asyncio.create_task(first())
    status = 0
    for _ in range(500):
        status, _ = await _patch(registry_http, location, b"", span=None)
        if status == 409:
            break
        await asyncio.sleep(0.01)
    assert status == 409
    more.set()
    assert await slow == 202
    assert await _finish(registry_http, location, sha256(_DATA)) == (201, "")


async def test_many_push_the_same_blob_at_once(registry_http: ClientSession, registry_world: World) -> None:
    data = _DATA * 500
    digests = await asyncio.gather(
        *(push_blob(registry_http, data, name=name) for name in (WEB, API) for _ in "123456")
    )
    assert set(digests) == {sha256(data)}
    assert registry_world.stored() == {sha256(data)}
    assert registry_world.parts() == []


async def test_an_upload_that_is_cut_goes_on_where_it_broke(registry_world: World) -> None:
    data = _DATA * 1000
    async with running(registry_world.surface()) as server, session_to(server) as http:
        location = await _start(http)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data[:1_500_000]
        )
        await writer.drain()
        for _ in range(500):
            if registry_world.parts()[0].stat().st_size:
                break
            await asyncio.sleep(0.01)
        writer.transport.abort()
        for _ in range(500):
            status, _ = await _patch(http, location, b"")
            if status == 202:
                break
            await asyncio.sleep(0.01)
        async with http.get(location, headers=_PUSHER) as answer:
            offset = int(answer.headers["Range"].partition("-")[2]) + 1
        assert 0 < offset <= 1_500_000
        assert (await _patch(http, location, data[offset:], span=f"{offset}-{len(data) - 1}"))[0] == 202
        assert await _finish(http, location, sha256(data)) == (201, "")

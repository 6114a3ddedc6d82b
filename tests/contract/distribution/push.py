"""What is asked of pushing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from tests.contract.distribution.client import IMAGE, INDEX, Registry, code_of, requirement

_WORKFLOW = "push"


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


async def _is_there(registry: Registry, location: str, data: bytes) -> None:
    assert await registry.read(location) == data


@requirement(_WORKFLOW, "a whole blob by POST and PUT")
async def _post_put(registry: Registry) -> None:
    data = registry.fresh()
    location = f"{await registry.start()}?digest={registry.digest(data)}"
    async with registry.ask("PUT", location, 201, data=data, Content_Type="application/octet-stream") as answer:
        await _is_there(registry, answer.headers["Location"], data)


@requirement(_WORKFLOW, "a whole blob by one POST")
async def _post(registry: Registry) -> None:
    data = registry.fresh()
    url = registry.url(f"blobs/uploads/?digest={registry.digest(data)}")
    async with registry.ask("POST", url, 201, data=data) as answer:
        await _is_there(registry, answer.headers["Location"], data)


@requirement(_WORKFLOW, "a blob in chunks, each told by the range that has come")
async def _chunks(registry: Registry) -> None:
    data = registry.fresh()
    middle = len(data) // 2
    location = await registry.start()
    async with registry.ask("PATCH", location, 202, data=data[:middle], Content_Range=f"0-{middle - 1}") as answer:
        assert answer.headers["Range"] == f"0-{middle - 1}"
        location = answer.headers["Location"]
    async with registry.ask("GET", location, 204) as answer:
        assert answer.headers["Range"] == f"0-{middle - 1}"
        location = answer.headers["Location"]
    span = f"{middle}-{len(data) - 1}"
    url = f"{location}?digest={registry.digest(data)}"
    async with registry.ask("PUT", url, 201, data=data[middle:], Content_Range=span) as answer:
        await _is_there(registry, answer.headers["Location"], data)


@requirement(_WORKFLOW, "a blob as one stream of unknown length")
async def _stream(registry: Registry) -> None:
    data = registry.fresh()
    async with registry.ask("PATCH", await registry.start(), 202, data=_pieces(data)) as answer:
        location = answer.headers["Location"]
    async with registry.ask("PUT", f"{location}?digest={registry.digest(data)}", 201) as answer:
        await _is_there(registry, answer.headers["Location"], data)


@requirement(_WORKFLOW, "a chunk out of order is 416, and the upload goes on where it stands")
async def _out_of_order(registry: Registry) -> None:
    data = registry.fresh()
    location = await registry.start()
    async with registry.ask("PATCH", location, 202, data=data[:100], Content_Range="0-99"):
        pass
    for span, piece in (("200-299", data[200:300]), ("0-99", data[:100])):
        async with registry.ask("PATCH", location, 416, data=piece, Content_Range=span) as answer:
            assert await code_of(answer) == "BLOB_UPLOAD_INVALID"
    url = f"{location}?digest={registry.digest(data)}"
    async with registry.ask("PUT", url, 416, data=data[200:], Content_Range=f"200-{len(data) - 1}"):
        pass
    async with registry.ask("PUT", url, 201, data=data[100:], Content_Range=f"100-{len(data) - 1}"):
        pass


@requirement(_WORKFLOW, "an upload is cancelled, and is 404 with BLOB_UPLOAD_UNKNOWN from then on")
async def _cancel(registry: Registry) -> None:
    location = await registry.start()
    async with registry.ask("DELETE", location, 204):
        pass
    for method in ("GET", "PATCH", "DELETE"):
        async with registry.ask(method, location, 404) as answer:
            assert await code_of(answer) == "BLOB_UPLOAD_UNKNOWN"


@requirement(_WORKFLOW, "a digest that is wrong, missing or unreadable is 400 with DIGEST_INVALID, and leaves no blob")
async def _wrong_digest(registry: Registry) -> None:
    data, wrong = registry.fresh(), registry.digest(b"wrong")
    for query in (f"?digest={wrong}", "?digest=sha256:12", "?digest=md5:d41d8cd98f00b204e9800998ecf8427e", ""):
        async with registry.ask("PUT", f"{await registry.start()}{query}", 400, data=data) as answer:
            assert await code_of(answer) == "DIGEST_INVALID"
    async with registry.ask("HEAD", registry.url(f"blobs/{wrong}"), 404):
        pass


@requirement(_WORKFLOW, "a blob is mounted from another repository, named or not, without being sent")
async def _mount(registry: Registry) -> None:
    for source in (f"&from={registry.other}", ""):
        data = registry.fresh()
        digest = await registry.push_blob(data, repository=registry.other)
        url = registry.url(f"blobs/uploads/?mount={digest}{source}")
        async with registry.ask("POST", url, 201) as answer:
            await _is_there(registry, answer.headers["Location"], data)


@requirement(_WORKFLOW, "what cannot be mounted becomes an upload")
async def _no_mount(registry: Registry) -> None:
    data = registry.fresh()
    digest = registry.digest(data)
    url = registry.url(f"blobs/uploads/?mount={digest}&from={registry.other}")
    async with registry.ask("POST", url, 202) as answer:
        location = answer.headers["Location"]
    async with registry.ask("PUT", f"{location}?digest={digest}", 201, data=data):
        pass


@requirement(_WORKFLOW, "a manifest is pushed by tag and by digest, and is where Location says")
async def _manifest(registry: Registry) -> None:
    config = registry.fresh()
    await registry.push_blob(config)
    manifest = registry.make_image(config)
    for reference in ("pushed", registry.digest(manifest)):
        headers = await registry.put(reference, manifest)
        assert await registry.read(headers["Location"]) == manifest
        assert "Docker-Content-Digest" in headers


@requirement(_WORKFLOW, "manifests without layers, with own fields, data in descriptors, and an artifact type")
async def _shapes(registry: Registry) -> None:
    config = registry.fresh()
    await registry.push_blob(config)
    several: list[dict[str, Any]] = [
        {"layers": []},
        {"org.example.own": {"deep": [1, 2]}},
        {"annotations": {"org.example.key": "value"}, "artifactType": "application/vnd.example"},
        {"config": {**registry.describe(config, "application/vnd.example.config"), "data": "YQ=="}},
    ]
    for more in several:
        manifest = registry.make_image(config, **more)
        await registry.put(registry.digest(manifest), manifest)
        assert await registry.read(registry.url(f"manifests/{registry.digest(manifest)}")) == manifest


@requirement(_WORKFLOW, "an index, an index of indexes and an empty index")
async def _indexes(registry: Registry) -> None:
    image = await registry.push_image()
    below = image
    media_type = IMAGE
    for _ in range(2):
        listed = [registry.describe(below, media_type)]
        below = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        media_type = INDEX
        await registry.put(registry.digest(below), below, media_type=INDEX)
    empty = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    await registry.put("empty", empty, media_type=INDEX)


@requirement(_WORKFLOW, "a manifest of what is not there is refused with MANIFEST_BLOB_UNKNOWN")
async def _unknown_blob(registry: Registry) -> None:
    config = registry.fresh()
    await registry.push_blob(config)
    manifest = registry.make_image(config, registry.fresh())
    async with registry.ask("PUT", registry.url("manifests/x"), 400, data=manifest, Content_Type=IMAGE) as answer:
        assert await code_of(answer) == "MANIFEST_BLOB_UNKNOWN"


@requirement(_WORKFLOW, "layers that are not to be distributed need not be there")
async def _elsewhere(registry: Registry) -> None:
    config, kind = registry.fresh(), "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    await registry.push_blob(config)
    manifest = registry.make_image(config, layers=[registry.describe(registry.fresh(), kind)])
    await registry.put("elsewhere", manifest)


@requirement(_WORKFLOW, "a manifest that cannot be read is 400 with MANIFEST_INVALID")
async def _invalid(registry: Registry) -> None:
    for data in (b"", b"{", b"[]", b'{"schemaVersion": 2}'):
        async with registry.ask("PUT", registry.url("manifests/x"), 400, data=data, Content_Type=IMAGE) as answer:
            assert await code_of(answer) == "MANIFEST_INVALID"


@requirement(_WORKFLOW, "a manifest of 4 MB is taken, one past the limit is 413")
async def _size(registry: Registry) -> None:
    config = registry.fresh()
    await registry.push_blob(config)
    large = registry.make_image(config, annotations={"large": "x" * 4_000_000})
    await registry.put(registry.digest(large), large)
    too_large = registry.make_image(config, annotations={"large": "x" * 17_000_000})
    async with registry.ask("PUT", registry.url("manifests/x"), 413, data=too_large, Content_Type=IMAGE) as answer:
        assert await code_of(answer) == "SIZE_INVALID"


@requirement(_WORKFLOW, "a subject is acknowledged, there or not")
async def _subject(registry: Registry) -> None:
    image = await registry.push_image()
    for subject in (registry.describe(image, IMAGE), registry.describe(registry.fresh(), IMAGE)):
        config = registry.fresh()
        await registry.push_blob(config)
        manifest = registry.make_image(config, subject=subject)
        headers = await registry.put(registry.digest(manifest), manifest)
        assert headers["OCI-Subject"] == subject["digest"]

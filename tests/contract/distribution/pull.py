"""What is asked of pulling."""

from __future__ import annotations

from tests.contract.distribution.client import IMAGE, Registry, code_of, requirement

_WORKFLOW = "pull"


@requirement(_WORKFLOW, "the base answers 200")
async def _base(registry: Registry) -> None:
    async with registry.ask("GET", "/v2/", 200):
        pass


@requirement(_WORKFLOW, "a manifest is had by its digest and by a tag, with its type and its digest")
async def _manifest(registry: Registry) -> None:
    manifest = await registry.push_image("pulled")
    for reference in ("pulled", registry.digest(manifest)):
        async with registry.ask("GET", registry.url(f"manifests/{reference}"), 200, Accept=IMAGE) as answer:
            assert await answer.read() == manifest
            assert answer.headers["Content-Type"] == IMAGE
            told = answer.headers["Docker-Content-Digest"]
            assert told == registry.digest(manifest) or reference == "pulled"


@requirement(_WORKFLOW, "HEAD of a manifest tells its size and digest")
async def _manifest_head(registry: Registry) -> None:
    manifest = await registry.push_image("looked-at")
    for reference in ("looked-at", registry.digest(manifest)):
        async with registry.ask("HEAD", registry.url(f"manifests/{reference}"), 200) as answer:
            assert answer.headers["Content-Length"] == str(len(manifest))
            assert "Docker-Content-Digest" in answer.headers


@requirement(_WORKFLOW, "a manifest that is not there is 404 with MANIFEST_UNKNOWN")
async def _no_manifest(registry: Registry) -> None:
    for reference in ("never-pushed", registry.digest(b"never")):
        async with registry.ask("GET", registry.url(f"manifests/{reference}"), 404) as answer:
            assert await code_of(answer) == "MANIFEST_UNKNOWN"
        async with registry.ask("HEAD", registry.url(f"manifests/{reference}"), 404):
            pass


@requirement(_WORKFLOW, "a repository that is not there is 404 with NAME_UNKNOWN")
async def _no_repository(registry: Registry) -> None:
    for rest in ("manifests/latest", "tags/list", f"blobs/{registry.digest(b'never')}"):
        async with registry.ask("GET", registry.url(rest, repository="no/where"), 404) as answer:
            assert await code_of(answer) == "NAME_UNKNOWN"


@requirement(_WORKFLOW, "a blob is had by its digest, which is told")
async def _blob(registry: Registry) -> None:
    data = registry.fresh()
    digest = await registry.push_blob(data)
    async with registry.ask("GET", registry.url(f"blobs/{digest}"), 200) as answer:
        assert await answer.read() == data
        assert answer.headers["Docker-Content-Digest"] == digest


@requirement(_WORKFLOW, "HEAD of a blob tells its size and digest")
async def _blob_head(registry: Registry) -> None:
    data = registry.fresh()
    digest = await registry.push_blob(data)
    async with registry.ask("HEAD", registry.url(f"blobs/{digest}"), 200) as answer:
        assert answer.headers["Content-Length"] == str(len(data))
        assert answer.headers["Docker-Content-Digest"] == digest


@requirement(_WORKFLOW, "an empty blob is a blob")
async def _empty(registry: Registry) -> None:
    digest = await registry.push_blob(b"")
    assert await registry.read(registry.url(f"blobs/{digest}")) == b""


@requirement(_WORKFLOW, "a blob that is not there is 404 with BLOB_UNKNOWN")
async def _no_blob(registry: Registry) -> None:
    async with registry.ask("GET", registry.url(f"blobs/{registry.digest(b'never')}"), 404) as answer:
        assert await code_of(answer) == "BLOB_UNKNOWN"
    async with registry.ask("HEAD", registry.url(f"blobs/{registry.digest(b'never')}"), 404):
        pass


@requirement(_WORKFLOW, "Range gives a part with 206, and 416 with an error list where there is none")
async def _range(registry: Registry) -> None:
    data = registry.fresh()
    url = registry.url(f"blobs/{await registry.push_blob(data)}")
    for asked, part in (("0-9", data[:10]), ("10-", data[10:]), ("-10", data[-10:])):
        async with registry.ask("GET", url, 206, Range=f"bytes={asked}") as answer:
            assert await answer.read() == part
            assert answer.headers["Content-Range"].endswith(f"/{len(data)}")
    async with registry.ask("GET", url, 416, Range=f"bytes={len(data)}-") as answer:
        assert await code_of(answer) == "RANGE_INVALID"
        assert answer.headers["Content-Range"] == f"bytes */{len(data)}"

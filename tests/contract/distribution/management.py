"""What is asked of content management."""

from __future__ import annotations

from tests.contract.distribution.client import IMAGE, Registry, requirement

_WORKFLOW = "content management"


@requirement(_WORKFLOW, "a deleted tag is gone at once, its manifest stays")
async def _tag(registry: Registry) -> None:
    manifest = await registry.push_image("to-delete")
    url = registry.url("manifests/to-delete")
    async with registry.ask("DELETE", url, 202):
        pass
    async with registry.ask("GET", url, 404):
        pass
    async with registry.ask("DELETE", url, 404):
        pass
    assert await registry.read(registry.url(f"manifests/{registry.digest(manifest)}")) == manifest
    async with registry.ask("GET", registry.url("tags/list"), 200) as answer:
        assert "to-delete" not in (await answer.json())["tags"]


@requirement(_WORKFLOW, "a deleted manifest is gone at once, with its tags")
async def _manifest(registry: Registry) -> None:
    manifest = await registry.push_image("goes-too")
    digest = registry.digest(manifest)
    for each in {digest, await _named(registry, "goes-too")}:
        async with registry.ask("DELETE", registry.url(f"manifests/{each}"), 202):
            pass
    for reference in (digest, "goes-too"):
        async with registry.ask("GET", registry.url(f"manifests/{reference}"), 404):
            pass


@requirement(_WORKFLOW, "a deleted referrer is not listed any more")
async def _referrer(registry: Registry) -> None:
    image = await registry.push_image()
    referrer = await registry.push_image(subject=registry.describe(image, IMAGE))
    async with registry.ask("DELETE", registry.url(f"manifests/{registry.digest(referrer)}"), 202):
        pass
    body = await registry.read(registry.url(f"referrers/{registry.digest(image)}"))
    assert registry.digest(referrer).encode() not in body


@requirement(_WORKFLOW, "a deleted blob is gone at once, and 404 when it is not there")
async def _blob(registry: Registry) -> None:
    url = registry.url(f"blobs/{await registry.push_blob(registry.fresh())}")
    async with registry.ask("DELETE", url, 202):
        pass
    for method in ("GET", "HEAD", "DELETE"):
        async with registry.ask(method, url, 404):
            pass


@requirement(_WORKFLOW, "nothing is deleted in a repository that is not there")
async def _nowhere(registry: Registry) -> None:
    for rest in ("manifests/latest", f"blobs/{registry.digest(b'x')}"):
        async with registry.ask("DELETE", registry.url(rest, repository="no/where"), 404):
            pass


async def _named(registry: Registry, tag: str) -> str:
    """The digest that the registry tells for a tag, which may be of another algorithm."""
    async with registry.ask("HEAD", registry.url(f"manifests/{tag}"), 200) as answer:
        return answer.headers["Docker-Content-Digest"]

"""Manifests of a repository, and what refers to them."""

from __future__ import annotations

import msgspec
from aiohttp import hdrs

from controld.api.registry.bodies import read_manifest, send_content
from controld.api.registry.shapes import Index, read_name, render_descriptor, render_next, render_path
from controld.core.registry import Registry, no_manifest
from controld.model.registry import OCI_INDEX, OCI_MANIFEST
from kit.http.surface import Answer, Ask


class ManifestHandlers:
    """Sends, takes in and removes manifests."""

    def __init__(self, registry: Registry, *, max_manifest_bytes: int) -> None:
        self._registry = registry
        self._max_manifest_bytes = max_manifest_bytes

    async def get(self, ask: Ask) -> object:
        """The manifest of a tag or a digest; HEAD is how a pusher asks whether it is there."""
        ask_for = self._registry.find_manifest if ask.request.method == "HEAD" else self._registry.get_manifest
        name, reference = read_name(ask), ask.path["reference"]
        content = await ask_for(ask.caller, name, reference)
        return await send_content(ask, content, missing=no_manifest(name, reference))

    async def put(self, ask: Ask) -> object:
        """Take in a manifest."""
        name = read_name(ask)
        media_type = ask.request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip() or OCI_MANIFEST
        data = await read_manifest(ask.request, self._max_manifest_bytes)
        pushed = await self._registry.push_manifest(
            ask.caller, name, ask.path["reference"], media_type=media_type, data=data
        )
        headers = {
            "Location": render_path(name, "manifests", pushed.digest),
            "Docker-Content-Digest": pushed.digest,
        }
        if pushed.subject is not None:
            headers["OCI-Subject"] = pushed.subject
        return Answer(201, headers=headers)

    async def delete(self, ask: Ask) -> object:
        """Remove a tag or a manifest."""
        await self._registry.delete_manifest(ask.caller, read_name(ask), ask.path["reference"])
        return Answer(202)

    async def list_referrers(self, ask: Ask) -> object:
        """Manifests whose subject has this digest, as an index."""
        name, digest, kind = read_name(ask), ask.path["digest"], ask.query.artifact_type
        page = await self._registry.list_referrers(ask.caller, name, digest, artifact_type=kind, after=ask.query.last)
        headers = {"Content-Type": OCI_INDEX}
        if kind is not None:
            headers["OCI-Filters-Applied"] = "artifactType"
        if page.last is not None:
            headers |= render_next(render_path(name, "referrers", digest, artifactType=kind, last=page.last))
        index = Index(manifests=[render_descriptor(each) for each in page.items])
        return Answer(200, msgspec.json.encode(index), headers=headers)

"""Blobs of a repository."""

from __future__ import annotations

from controld.api.registry.bodies import send_content
from controld.api.registry.shapes import read_name
from controld.core.registry import Registry, no_blob
from kit.http.surface import Answer, Ask


class BlobHandlers:
    """Sends blobs and takes them out of repositories."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def get(self, ask: Ask) -> object:
        """The blob or a part of it; HEAD is how a pusher asks whether it is there."""
        ask_for = self._registry.find_blob if ask.request.method == "HEAD" else self._registry.get_blob
        name, digest = read_name(ask), ask.path["digest"]
        return await send_content(ask, await ask_for(ask.caller, name, digest), missing=no_blob(name, digest))

    async def delete(self, ask: Ask) -> object:
        """Take the blob out of the repository."""
        await self._registry.delete_blob(ask.caller, read_name(ask), ask.path["digest"])
        return Answer(202)

"""Uploads of blobs into a repository."""

from __future__ import annotations

from collections.abc import Mapping

from controld.api.registry.auth import sources_of
from controld.api.registry.bodies import read_chunk
from controld.api.registry.shapes import read_name, read_source, render_path
from controld.core.registry_access import RepositoryName
from controld.core.registry_uploads import RegistryUploads
from kit.http.surface import Answer, Ask


class UploadHandlers:
    """Takes blobs in."""

    def __init__(self, uploads: RegistryUploads) -> None:
        self._uploads = uploads

    async def start(self, ask: Ask) -> object:
        """Mount a blob, take in a whole one, or begin an upload."""
        name, query = read_name(ask), ask.query
        if query.mount is not None:
            source = None if query.source is None else read_source(query.source)
            within = sources_of(ask.request)
            if await self._uploads.mount(ask.caller, name, query.mount, source=source, within=within):
                return _made(name, query.mount)
        elif query.digest is not None:
            await self._uploads.push(ask.caller, name, query.digest, chunk=read_chunk(ask.request))
            return _made(name, query.digest)
        upload_id = await self._uploads.start(ask.caller, name)
        return Answer(202, headers=_standing(name, upload_id, offset=0))

    async def show(self, ask: Ask) -> object:
        """How far an upload has come."""
        name, upload_id = read_name(ask), ask.path["upload_id"]
        offset = await self._uploads.measure(ask.caller, name, upload_id)
        return Answer(204, headers=_standing(name, upload_id, offset=offset))

    async def append(self, ask: Ask) -> object:
        """Add a chunk to an upload."""
        name, upload_id = read_name(ask), ask.path["upload_id"]
        offset = await self._uploads.append(ask.caller, name, upload_id, chunk=read_chunk(ask.request))
        return Answer(202, headers=_standing(name, upload_id, offset=offset))

    async def finish(self, ask: Ask) -> object:
        """Add what is left and make the upload a blob."""
        name, digest = read_name(ask), ask.query.digest
        await self._uploads.finish(
            ask.caller, name, ask.path["upload_id"], digest=digest, chunk=read_chunk(ask.request)
        )
        return _made(name, digest)

    async def cancel(self, ask: Ask) -> object:
        """End an upload."""
        await self._uploads.cancel(ask.caller, read_name(ask), ask.path["upload_id"])
        return Answer(204)


def _made(name: RepositoryName, digest: str) -> Answer:
    headers = {"Location": render_path(name, "blobs", digest), "Docker-Content-Digest": digest}
    return Answer(201, headers=headers)


def _standing(name: RepositoryName, upload_id: str, *, offset: int) -> Mapping[str, str]:
    return {
        "Location": render_path(name, "blobs/uploads", upload_id),
        "Range": f"0-{max(0, offset - 1)}",
        "Docker-Upload-UUID": upload_id,
    }

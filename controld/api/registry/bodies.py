"""The bodies of the registry: streams that must not stand still, manifests within their limit, and files sent out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import hdrs, web

from controld.core.registry_faults import BlobRangeInvalid, BlobUploadInvalid, ManifestTooLarge
from controld.core.registry_uploads import Chunk
from controld.model.registry import Content
from controld.rules.registry import parse_content_range
from kit.faults import Fault, TimedOut
from kit.http.files import RangeNotThere, send_file
from kit.http.surface import Ask

_SILENCE_SECONDS: Final = 60.0


async def read_pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes; raises TimedOut when nothing comes for a minute."""
    content = request.content
    while True:
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                piece = await content.readany()
        except TimeoutError as error:
            raise TimedOut(f"cannot read body: nothing came for {_SILENCE_SECONDS:.0f} s") from error
        if not piece:
            return
        yield piece


def read_chunk(request: web.Request) -> Chunk:
    """The body as a piece of a blob, with what its headers say; raises BlobUploadInvalid."""
    said = request.headers.get(hdrs.CONTENT_RANGE)
    span = None if said is None else parse_content_range(said)
    if said is not None and span is None:
        raise BlobUploadInvalid(f"cannot read Content-Range {said[:100]!r}: say it as <first>-<last>")
    return Chunk(pieces=read_pieces(request), size_bytes=request.content_length, span=span)


async def send_content(ask: Ask, content: Content, *, missing: Fault) -> web.StreamResponse:
    """The bytes of a blob or manifest, or the part that Range asks for; raises `missing` and BlobRangeInvalid."""
    headers = {hdrs.CONTENT_TYPE: content.media_type, "Docker-Content-Digest": content.digest}
    try:
        return await send_file(ask, content.path, tag=content.digest, headers=headers)
    except FileNotFoundError:
        raise missing from None
    except RangeNotThere as error:
        raise BlobRangeInvalid(
            f"cannot send the part: there are {error.size_bytes} bytes", details={"size": error.size_bytes}
        ) from error


async def read_manifest(request: web.Request, limit_bytes: int) -> bytes:
    """A whole manifest; raises ManifestTooLarge as soon as the limit is passed."""
    too_large = ManifestTooLarge(f"cannot take the manifest: it is larger than {limit_bytes} bytes")
    if (request.content_length or 0) > limit_bytes:
        raise too_large
    data = bytearray()
    async for piece in read_pieces(request):
        data += piece
        if len(data) > limit_bytes:
            raise too_large
    return bytes(data)

"""Reads a request's JSON body within its limit, and tells a waiting client to send it."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs, web

from kit.faults import BadSyntax, TooLarge, UnsupportedMedia

_JSON = "application/json"
_ARRIVES_WITHIN_SECONDS = 60.0


async def read_json_body(request: web.Request, limit_bytes: int) -> bytes:
    """The bytes of a JSON body; it raises UnsupportedMedia, or TooLarge as soon as the limit is passed."""
    if not _is_json(request.headers.get(hdrs.CONTENT_TYPE, "")):
        raise UnsupportedMedia(f"cannot read body: send it with Content-Type {_JSON}")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMedia("cannot read body: send it without a Content-Encoding")
    announced = request.content_length
    if announced is not None and announced > limit_bytes:
        raise TooLarge(f"cannot read body: it is larger than {limit_bytes} bytes")
    await send_continue(request)
    data = bytearray()
    try:
        async with asyncio.timeout(_ARRIVES_WITHIN_SECONDS):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > limit_bytes:
                    raise TooLarge(f"cannot read body: it is larger than {limit_bytes} bytes")
    except TimeoutError as error:
        raise BadSyntax(f"cannot read body: it did not arrive within {_ARRIVES_WITHIN_SECONDS:.0f} s") from error
    return bytes(data)


async def send_continue(request: web.Request) -> None:
    """Tell a client that waits with `Expect: 100-continue` to send its body."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == _JSON or (kind.startswith("application/") and kind.endswith("+json"))

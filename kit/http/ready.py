"""A small JSON response whose headers were rendered ahead of time, so that it costs one write and little else."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

_LARGEST_BYTES = 64 * 1024


def render_head(status: int, headers: Mapping[str, str]) -> bytes:
    """The status line and constant headers of a JSON answer; ValueError for a header with a line break."""
    fields = {"Content-Type": "application/json", **headers}
    for name, value in fields.items():
        if not {"\r", "\n"}.isdisjoint(name + value):
            raise ValueError(f"cannot send header {name!r}: it holds a line break")
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\nContent-Length: "


def may_be_ready(request: web.Request, data: bytes) -> bool:
    """Whether a whole answer with this body may go out as `Ready`: HTTP/1.1, kept alive, not HEAD, and small."""
    return (
        len(data) <= _LARGEST_BYTES
        and request.version == HttpVersion11
        and request.keep_alive
        and request.method != hdrs.METH_HEAD
    )


class Ready(web.StreamResponse):
    """A whole response as one piece of bytes: a head made by `render_head`, what differs per request, and the body."""

    def __init__(self, status: int, *, head: bytes, request_id: str, data: bytes) -> None:
        super().__init__(status=status)
        differs = f"{len(data)}\r\nDate: {rfc822_formatted_time()}\r\nX-Request-Id: {request_id}\r\n\r\n"
        self._whole = head + differs.encode() + data
        self._writer: AbstractStreamWriter | None = None

    @property
    def prepared(self) -> bool:
        return self._writer is not None

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._writer = request.writer
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        assert self._writer is not None, "the response is prepared first"
        await self._writer.write_eof(self._whole + data)

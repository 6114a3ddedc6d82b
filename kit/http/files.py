"""Sends files: by sendfile(2) where the connection is plain, else piece by piece.

uvloop has no `loop.sendfile`, and aiohttp's answer to that is to copy every byte through the process. The kernel takes
the bytes here as well, on a duplicate of the connection's descriptor, for the event loop owns the original.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from aiohttp import hdrs, web

from kit.http.ranges import parse_range
from kit.http.surface import Ask

T = TypeVar("T")

_PIECE_BYTES: Final = 16 * 1024 * 1024
_QUICK_BYTES: Final = 1024 * 1024
_PATIENCE_MILLISECONDS: Final = 2
_COPY_BYTES: Final = 256 * 1024
_SILENCE_SECONDS: Final = 60.0


class RangeNotThere(Exception):
    """Nothing of what Range asks for is in the file, which has `size_bytes`."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"cannot send the part: there are {size_bytes} bytes")
        self.size_bytes = size_bytes


async def send_file(ask: Ask, path: Path, *, tag: str, headers: Mapping[str, str]) -> web.StreamResponse:
    """Answer with the file, the part that Range asks for, or that the caller has it already; FileNotFoundError.

    `tag` names the content and never another. A file that is removed meanwhile is sent to its end. A client that takes
    nothing for a minute is dropped. Raises RangeNotThere.
    """
    descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return await _answer(ask, descriptor, tag=f'"{tag}"', headers=headers)
    finally:
        os.close(descriptor)


async def _answer(ask: Ask, descriptor: int, *, tag: str, headers: Mapping[str, str]) -> web.StreamResponse:
    asked = ask.request.headers
    told = {**headers, hdrs.ETAG: tag, hdrs.ACCEPT_RANGES: "bytes"}
    if _names(asked.get(hdrs.IF_NONE_MATCH), tag):
        return web.Response(status=304, headers=told)
    size = os.fstat(descriptor).st_size
    wanted = asked.get(hdrs.RANGE) if asked.get(hdrs.IF_RANGE, tag) == tag else None
    try:
        part = parse_range(wanted, size_bytes=size)
    except ValueError as error:
        raise RangeNotThere(size) from error
    offset, count = part or (0, size)
    response = web.StreamResponse(status=200 if part is None else 206, headers=told)
    response.content_length = count
    if part is not None:
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {offset}-{offset + count - 1}/{size}"
    await ask.open(response)
    transport = ask.request.transport
    if transport is None:
        raise ConnectionResetError
    if transport.get_extra_info("sslcontext") is None:
        await _hand_over(transport, descriptor, offset=offset, count=count)
    else:
        await _copy(response, descriptor, offset=offset, count=count)
    return response


async def _hand_over(transport: asyncio.Transport, descriptor: int, *, offset: int, count: int) -> None:
    """Let the kernel send, a piece at a time in a thread, since it may have to wait for the disk."""
    await _until_flushed(transport)
    connection = os.dup(transport.get_extra_info("socket").fileno())
    try:
        patience_milliseconds = 0
        while count:
            asked = min(count, _PIECE_BYTES)
            sent = await _in_thread(
                partial(_send, connection, descriptor, offset=offset, count=asked, patience=patience_milliseconds)
            )
            offset, count = offset + sent, count - sent
            if sent < asked:
                await _until_writable(transport, connection)
            patience_milliseconds = _PATIENCE_MILLISECONDS if sent >= _QUICK_BYTES else 0
    finally:
        os.close(connection)


def _send(connection: int, descriptor: int, *, offset: int, count: int, patience: int) -> int:
    """How many bytes went out before the connection took no more for `patience` milliseconds.

    A client that is quick is waited for here, where it costs a system call and not two turns of the event loop.
    """
    sent = 0
    room = select.poll()
    room.register(connection, select.POLLOUT)
    while sent < count:
        try:
            step = os.sendfile(connection, descriptor, offset + sent, count - sent)
        except BlockingIOError:
            if not (patience and room.poll(patience)):
                break
            continue
        if not step:
            raise EOFError("the file is shorter than it was")
        sent += step
    return sent


async def _copy(response: web.StreamResponse, descriptor: int, *, offset: int, count: int) -> None:
    while count:
        asked = min(count, _COPY_BYTES)
        piece = await _in_thread(partial(os.pread, descriptor, asked, offset))
        if not piece:
            raise EOFError("the file is shorter than it was")
        await response.write(piece)
        offset, count = offset + len(piece), count - len(piece)


async def _in_thread(work: Callable[[], T]) -> T:
    """The result of the work; when cancelled, only once the thread has let go of the descriptors."""
    job = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait([job])
        raise


async def _until_flushed(transport: asyncio.Transport) -> None:
    """Wait until what was written before is out, which nearly always takes one turn of the loop."""
    turns = 0
    while transport.get_write_buffer_size():
        if transport.is_closing():
            raise ConnectionResetError
        await asyncio.sleep(0 if turns < 8 else 0.005)
        turns += 1


async def _until_writable(transport: asyncio.Transport, connection: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(connection, tell)
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            await ready
    except TimeoutError as error:
        transport.abort()
        raise ConnectionResetError from error
    finally:
        loop.remove_writer(connection)


def _names(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names the tag."""
    if header is None:
        return False
    return any(each.strip().removeprefix("W/") in {tag, "*"} for each in header.split(","))

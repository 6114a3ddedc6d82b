"""The way to controld and back: requests, streams and WebSockets with a caller's credential."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeVar

import aiohttp
import msgspec

from client.faults import Refused, Unreachable, Unreadable
from kit.http.sse_parse import Event, EventParser

T = TypeVar("T")

ANSWER_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 60.0
_SEARCH_SECONDS: Final = 300.0
"""Nothing is sent while a long log is searched and nothing is found."""
_PING_SECONDS: Final = 20.0


class Calls:
    """One controld and one caller; what goes wrong is raised as Refused, Unreachable or Unreadable."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        body: object = None,
        data: object = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> T:
        content = await self._send(method, path, body=body, data=data, headers=headers, seconds=seconds)
        return self._read(content, answer)

    def _read(self, content: bytes, answer: type[T]) -> T:
        """What the answer says."""
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.MsgspecError as error:
            raise Unreadable(
                f"cannot read what {self._url} answers: is controld there, of this version? {error}"
            ) from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        data: object = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> bytes:
        content, _ = await self._exchange(method, path, body=body, data=data, headers=headers, seconds=seconds)
        return content

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        data: object = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> tuple[bytes, Mapping[str, str]]:
        """The answer with its headers."""
        headers = dict(headers or {})
        if body is not None:
            data = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._open().request(
                method, self._url + path, data=data, headers=self._sign(headers), timeout=timeout
            ) as response:
                content = await response.read()
                _check(response, content)
                return content, response.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"cannot reach controld at {self._url}: {str(error) or 'no answer in time'}") from error

    async def _download(self, path: str, output: BinaryIO, *, unpack: bool) -> Mapping[str, str]:
        """Write an answer that is compressed on its way to the output; its headers. Unreachable for a part of one."""
        import zstandard

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SEARCH_SECONDS)
        headers = self._sign({"Accept-Encoding": "zstd"})
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        try:
            async with (
                aiohttp.ClientSession(auto_decompress=False) as session,
                session.get(self._url + path, headers=headers, timeout=timeout) as response,
            ):
                if response.status != 200:
                    _check(response, await response.read())
                async for chunk in response.content.iter_any():
                    data = unpacker.decompress(chunk)
                    await asyncio.to_thread(output.write, data if unpack else chunk)
                return response.headers
        except (aiohttp.ClientError, TimeoutError, zstandard.ZstdError) as error:
            raise Unreachable(
                f"cannot read all of it from controld at {self._url}: {str(error) or 'silence'}"
            ) from error

    async def _connect(self, path: str) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket at the path, which the caller closes; the path itself says who asks."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._open().ws_connect(
                    self._url + path, heartbeat=_PING_SECONDS, compress=0, max_msg_size=0
                )
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(
                f"the console was refused with status {error.status}", status=error.status, remote_code=""
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"cannot reach controld at {self._url}: {str(error) or 'no answer in time'}") from error

    async def _stream(self, path: str, *, after: str | None = None) -> AsyncIterator[Event]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        headers = self._sign({} if after is None else {"Last-Event-ID": after})
        parser = EventParser()
        try:
            async with self._open().get(self._url + path, headers=headers, timeout=timeout) as response:
                if response.status != 200:
                    _check(response, await response.read())
                async for chunk in response.content.iter_any():
                    for event in parser.feed(chunk):
                        yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"cannot read from controld at {self._url}: {str(error) or 'silence'}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the client as `async with`")
        return self._session

    def _sign(self, headers: dict[str, str]) -> dict[str, str]:
        return headers if self._token is None else {**headers, "Authorization": f"Bearer {self._token}"}


class _Envelope(msgspec.Struct):
    error: str = ""
    code: str = ""


def _check(response: aiohttp.ClientResponse, content: bytes) -> None:
    if response.status < 400:
        return
    try:
        envelope = msgspec.json.decode(content, type=_Envelope)
    except msgspec.MsgspecError:
        envelope = _Envelope()
    message = envelope.error or f"{response.method} {response.url.path} answered {response.status} {response.reason}"
    if response.status == 401 and not envelope.error:
        message = "the login is not valid, or no longer: run `moorage login URL`"
    raise Refused(message, status=response.status, remote_code=envelope.code)

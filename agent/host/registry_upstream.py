"""controld's registry as a node reaches it: HTTPS under the node's certificate, streamed both ways."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from kit.faults import Unavailable
from wire.identity import CONTROL_HOST

_CONNECT_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 120.0
_CHUNK_BYTES: Final = 256 * 1024


class UpstreamAnswer:
    """An answer whose body is read once."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers."""
        return self._response.headers

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        return self._response.content.iter_chunked(_CHUNK_BYTES)


class RegistryUpstream:
    """Asks controld's node side under a context that follows the renewals of the node's certificate."""

    def __init__(self, url: str, *, context: ssl.SSLContext) -> None:
        self._url = url.rstrip("/")
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the pool of connections."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS),
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def ask(
        self, method: str, target: str, *, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[UpstreamAnswer]:
        """Send the ask on; raises Unavailable when controld cannot be reached."""
        if self._session is None:
            raise Unavailable("cannot reach the registry: the agent is not started")
        try:
            response = await self._session.request(
                method,
                URL(self._url + target, encoded=True),
                headers=headers,
                data=body,
                ssl=self._context,
                server_hostname=CONTROL_HOST,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"cannot reach the registry at {self._url}: {error}", retry_after_seconds=5) from error
        async with response:
            yield UpstreamAnswer(response)

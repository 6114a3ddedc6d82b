"""Registry relay: the engine pulls and pushes on loopback, the agent carries it to controld under its certificate."""

from __future__ import annotations

import base64
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from aiohttp import web

from kit.http.surface import PUBLIC, Ask, Route

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PASSED_UP: Final = ("Accept", "Content-Type", "Content-Range", "Content-Length", "Range")
_PASSED_DOWN: Final = (
    "Content-Type",
    "Content-Length",
    "Content-Range",
    "Docker-Content-Digest",
    "Docker-Distribution-Api-Version",
    "Docker-Upload-UUID",
    "Link",
    "Location",
    "OCI-Subject",
    "Range",
)


class UpstreamAnswer(Protocol):
    """controld's answer while its body is still coming."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        ...


class Upstream(Protocol):
    """controld's registry."""

    def ask(
        self, method: str, target: str, *, headers: Mapping[str, str], body: AsyncIterator[bytes] | None
    ) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """Send the ask on; raises Unavailable when controld cannot be reached."""
        ...


class RegistryRelay:
    """Forwards `/v2` for whoever knows the secret that the agent gives its engine."""

    def __init__(self, upstream: Upstream, *, login: tuple[str, str]) -> None:
        self._upstream = upstream
        self._expected = "Basic " + base64.b64encode(":".join(login).encode()).decode()

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return tuple(
            Route(
                method=method,
                path="/v2/{rest:.*}",
                access=PUBLIC,
                handler=self._relay,
                summary="Carry a registry call to controld",
                raw_body="application/octet-stream" if method in {"POST", "PUT", "PATCH"} else None,
                free_path=True,
                throttled=False,
            )
            for method in _METHODS
        )

    async def _relay(self, ask: Ask) -> web.StreamResponse:
        request = ask.request
        if not hmac.compare_digest(request.headers.get("Authorization", ""), self._expected):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="Moorage node"'})
        headers = {name: request.headers[name] for name in _PASSED_UP if name in request.headers}
        body = request.content.iter_any() if request.body_exists else None
        async with self._upstream.ask(request.method, request.raw_path, headers=headers, body=body) as answer:
            response = web.StreamResponse(
                status=answer.status,
                headers={name: answer.headers[name] for name in _PASSED_DOWN if name in answer.headers},
            )
            await ask.open(response)
            async for chunk in answer.chunks():
                await response.write(chunk)
            return response

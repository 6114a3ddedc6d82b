"""One keep-alive HTTP session on the engine's unix socket, with the API version negotiated and failures worded."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from agent.core.faults import EngineRefused, EngineUnavailable
from agent.host.docker.load import CallLoad
from agent.rules.api_version import choose_api_version

_CONNECT_SECONDS = 5.0
_ERROR_BYTES = 64 * 1024


class EngineSession:
    """Asks the engine over `socket`; a call that is no stream ends within `call_timeout_seconds`.

    The API version is asked for once and again after the engine was away, so that it may be upgraded meanwhile.
    """

    def __init__(self, socket: Path, *, call_timeout_seconds: float) -> None:
        self.socket = socket
        self.call_timeout_seconds = call_timeout_seconds
        self.load = CallLoad()
        self._session: aiohttp.ClientSession | None = None
        self._version: str | None = None
        self._closed = False

    async def call(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """The JSON of the answer, None for an empty one; raises EngineRefused for 400 and above, EngineUnavailable.

        `body` is sent as JSON.
        """
        seconds = timeout_seconds or self.call_timeout_seconds
        data = None if body is None else json.dumps(body).encode()
        headers = None if body is None else {"Content-Type": "application/json"}
        try:
            with self.load.measured():
                async with (
                    asyncio.timeout(seconds),
                    self.open(method, path, doing=doing, params=params, headers=headers, data=data) as response,
                ):
                    body = await response.read()
        except TimeoutError as error:
            raise self.unavailable(doing, f"no answer within {seconds:g} s") from error
        try:
            return json.loads(body) if body.strip() else None
        except ValueError as error:
            raise self.unavailable(doing, "its answer is not a container engine's") from error

    @contextlib.asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: AsyncIterable[bytes] | bytes | None = None,
        head_timeout_seconds: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer while its body is still to be read; leaving closes the connection unless all was read."""
        version = await self.fetch_api_version()
        try:
            async with asyncio.timeout(head_timeout_seconds):
                response = await self._open_session().request(
                    method, f"http://engine/v{version}{path}", params=params, headers=headers, data=data
                )
                if response.status >= 400:
                    raise await self._refused(response, doing)
            try:
                yield response
            finally:
                response.close()
        except (aiohttp.ClientError, OSError) as error:
            raise self.unavailable(doing, str(error) or "no answer in time") from error

    async def fetch_api_version(self) -> str:
        """The version that is spoken with the engine."""
        if self._version is None:
            answer = await self.fetch_version()
            highest, lowest = str(answer["ApiVersion"]), str(answer.get("MinAPIVersion") or "1.12")
            version = choose_api_version(highest, lowest)
            if version is None:
                raise EngineUnavailable(
                    f"cannot speak to the container engine at unix://{self.socket}: it speaks API {highest}, "
                    "and 1.41 (Docker 20.10) is the oldest that is known here"
                )
            self._version = version
        return self._version

    async def fetch_version(self) -> dict[str, Any]:
        """The engine's own words on its versions."""
        doing = "ask for its version"
        try:
            async with asyncio.timeout(self.call_timeout_seconds):
                async with self._open_session().get("http://engine/version") as response:
                    if response.status >= 400:
                        raise await self._refused(response, doing)
                    answer = json.loads(await response.read())
        except TimeoutError as error:
            raise self.unavailable(doing, f"no answer within {self.call_timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self.unavailable(doing, str(error) or type(error).__name__) from error
        if not isinstance(answer, dict) or "ApiVersion" not in answer:
            raise self.unavailable(doing, "its answer is not a container engine's")
        return answer

    def unavailable(self, doing: str, why: str) -> EngineUnavailable:
        """The fault for an engine that does not answer; the version is negotiated anew once it does."""
        self._version = None
        return EngineUnavailable(
            f"cannot reach the container engine at unix://{self.socket} to {doing}: {why}: is dockerd running?"
        )

    async def close(self) -> None:
        """Close every connection; calls that wait end with EngineUnavailable."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _refused(self, response: aiohttp.ClientResponse, doing: str) -> EngineRefused:
        try:
            body = await response.content.read(_ERROR_BYTES)
        finally:
            response.close()
        try:
            reason = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            reason = body.decode(errors="replace").strip() or f"status {response.status}"
        return self.refused(doing, status=response.status, reason=reason)

    def refused(self, doing: str, *, status: int, reason: str) -> EngineRefused:
        """The fault for an engine that answers with an error."""
        if status == 400 and "client version" in reason:
            self._version = None
        reason = reason.strip()
        return EngineRefused(f"cannot {doing}: {reason}", engine_status=status, reason=reason)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise self.unavailable("start a call", "the agent is stopping")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(self.socket), limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            )
        return self._session

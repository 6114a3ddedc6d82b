"""A typed client of `/v1`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, TypeVar

import aiohttp
import msgspec

from client.faults import Refused, Unreachable
from client.messages import Deployment, Domain, JoinTokenMade, LoggedIn, Node, Project, Service, TokenMade, Uploaded
from kit.http.sse_parse import Event, EventParser

T = TypeVar("T")

_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 60.0
_SILENCE_SECONDS: Final = 60.0
_UPLOAD_SECONDS: Final = 3600.0


class Api:
    """One controld as one caller sees it; used as `async with`.

    Every method raises Refused with controld's own sentence, or Unreachable.
    """

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

    async def is_healthy(self) -> bool:
        """Whether controld answers its liveness check."""
        try:
            await self._ask("GET", "/healthz", answer=dict[str, Any])
        except (Refused, Unreachable):
            return False
        return True

    async def bootstrap(self, *, username: str, password: str) -> None:
        """Make the first super-admin; the token is the setup secret."""
        await self._ask("POST", "/v1/bootstrap", answer=msgspec.Raw, body={"username": username, "password": password})

    async def log_in(self, *, username: str, password: str) -> LoggedIn:
        """A session for a password; asked without a credential."""
        return await self._ask(
            "POST", "/v1/auth/login", answer=LoggedIn, body={"username": username, "password": password}
        )

    async def make_token(self, name: str) -> TokenMade:
        """A fresh API token of the caller's."""
        return await self._ask("POST", "/v1/api-tokens", answer=TokenMade, body={"name": name})

    async def list_projects(self) -> list[Project]:
        """The caller's projects by name."""
        return await self._ask("GET", "/v1/projects", answer=list[Project])

    async def list_services(self) -> list[Service]:
        """The services that the caller may see, by name."""
        return await self._ask("GET", "/v1/services", answer=list[Service])

    async def put_service(self, config: dict[str, Any]) -> Service:
        """Create the service, or change the one of that project and name."""
        return await self._ask("POST", "/v1/services", answer=Service, body=config)

    async def delete_service(self, service_id: str) -> None:
        """Remove the service and all that belongs to it."""
        await self._ask("DELETE", f"/v1/services/{service_id}", answer=msgspec.Raw)

    async def list_domains(self, service_id: str) -> list[Domain]:
        """The service's hostnames."""
        return await self._ask("GET", f"/v1/services/{service_id}/domains", answer=list[Domain])

    async def upload(self, service_id: str, archive: BinaryIO) -> Uploaded:
        """Stage a tar.zst as a build context."""
        return await self._ask(
            "POST",
            f"/v1/services/{service_id}/uploads",
            answer=Uploaded,
            data=archive,
            headers={"Content-Type": "application/zstd"},
            seconds=_UPLOAD_SECONDS,
        )

    async def deploy(self, request: dict[str, Any]) -> Deployment:
        """Begin a deployment; `request` is tagged by its `source`."""
        return await self._ask("POST", "/v1/deployments", answer=Deployment, body=request)

    async def get_deployment(self, deployment_id: str) -> Deployment:
        """Where the deployment stands."""
        return await self._ask("GET", f"/v1/deployments/{deployment_id}", answer=Deployment)

    async def list_deployments(self, service_id: str) -> list[Deployment]:
        """The service's deployments, newest first."""
        return await self._ask("GET", f"/v1/services/{service_id}/deployments", answer=list[Deployment])

    def follow_deployment(self, deployment_id: str) -> AsyncIterator[Event]:
        """The deployment's log from its first line, ending with the event `done`."""
        return self._stream(f"/v1/deployments/{deployment_id}/logs/stream")

    def follow_logs(self, service_id: str, *, after: str | None = None) -> AsyncIterator[Event]:
        """The service's log: the last lines, or those behind the event with the id `after`, then each as it comes."""
        return self._stream(f"/v1/services/{service_id}/logs/stream", after=after)

    async def list_nodes(self) -> list[Node]:
        """Every node."""
        return await self._ask("GET", "/v1/nodes", answer=list[Node])

    async def make_join_token(self) -> JoinTokenMade:
        """A single-use token with which one machine becomes a node."""
        return await self._ask("POST", "/v1/nodes/join-tokens", answer=JoinTokenMade, body={})

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        body: object = None,
        data: object = None,
        headers: dict[str, str] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> T:
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
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"cannot reach controld at {self._url}: {str(error) or 'no answer in time'}") from error
        return msgspec.json.decode(content, type=answer)

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
    raise Refused(message, status=response.status, remote_code=envelope.code)

"""Asks of the nodes' agents, over mutual TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from controld.core.faults import NodeFault, NodeOffline
from controld.model.node import Node
from kit.faults import STATUS, Kind
from kit.http.ndjson import split_lines
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed, decode_event
from wire.agent.logs import LogQuery, LogRecord, decode_record
from wire.agent.metrics import RecentRequests, ServiceMetrics
from wire.base import Lenient
from wire.identity import node_host
from wire.link import HostReport

T = TypeVar("T")

_PIECE_BYTES: Final = 1024 * 1024
_MOST_ANSWER_BYTES: Final = 16 * 1024 * 1024
_SLOWEST_BYTES_PER_SECOND: Final = 256 * 1024
_KINDS: Final = {status: kind for kind, status in STATUS.items()}


class _Refusal(Lenient, frozen=True):
    """How an agent words a fault."""

    error: str = ""
    code: str = "unknown"


class AgentCalls:
    """Dials agents as controld and makes sure that each is the node it should be, in the handshake.

    `connect_seconds` bounds dialling, `answer_seconds` a plain answer, and `silence_seconds` the pause between two
    signs of life on a stream, on which agents send one each ten seconds at least.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        connect_seconds: float = 5.0,
        answer_seconds: float = 15.0,
        silence_seconds: float = 30.0,
    ) -> None:
        self._context = context
        self._answer_seconds = answer_seconds
        self._plain = aiohttp.ClientTimeout(total=answer_seconds, sock_connect=connect_seconds)
        self._stream = aiohttp.ClientTimeout(
            total=None, sock_connect=connect_seconds, connect=connect_seconds * 2, sock_read=silence_seconds
        )
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End every call and connection."""
        if self._session is not None:
            await self._session.close()

    async def send_context(self, node: Node, work_id: str, path: Path) -> None:
        """Stream the tar.zst at the path to the node."""
        size = (await asyncio.to_thread(path.stat)).st_size
        seconds = self._answer_seconds + size / _SLOWEST_BYTES_PER_SECOND
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=self._plain.sock_connect)
        headers = {"Content-Type": "application/zstd", "Content-Length": str(size)}
        async with self._ask(
            node, "PUT", f"/builds/{work_id}/context", timeout=timeout, headers=headers, data=_read_pieces(path)
        ):
            return

    def run_build(self, node: Node, work_id: str, asked: BuildAsked) -> AsyncGenerator[WorkEvent, None]:
        """Start the build or join it."""
        return self._work(node, f"/builds/{work_id}", asked)

    def run_pull(self, node: Node, work_id: str, asked: PullAsked) -> AsyncGenerator[WorkEvent, None]:
        """Start the pull or join it."""
        return self._work(node, f"/pulls/{work_id}", asked)

    async def cancel_work(self, node: Node, work_id: str) -> None:
        """End the work and drop what was staged; the agent keeps builds and pulls under one set of ids."""
        async with self._ask(node, "DELETE", f"/builds/{work_id}", timeout=self._plain):
            return

    async def read_logs(self, node: Node, query: LogQuery) -> AsyncGenerator[LogRecord, None]:
        """Log records, oldest first."""
        found = msgspec.to_builtins(query)
        params = {name: _text(value) for name, value in found.items() if value is not None}
        async with aclosing(self._lines(node, "GET", "/logs", decode_record, params=params)) as records:
            async for record in records:
                yield record

    async def fetch_metrics(self, node: Node, service_id: str) -> ServiceMetrics:
        """Readings of the service's replicas."""
        return await self._fetch(node, "/metrics", ServiceMetrics, params={"service_id": service_id})

    async def fetch_requests(self, node: Node, service_id: str) -> RecentRequests:
        """The newest requests of the service."""
        return await self._fetch(node, "/requests", RecentRequests, params={"service_id": service_id})

    async def fetch_host(self, node: Node) -> HostReport:
        """Numbers of the node itself."""
        return await self._fetch(node, "/node", HostReport)

    async def _work(self, node: Node, path: str, asked: object) -> AsyncGenerator[WorkEvent, None]:
        body, headers = msgspec.json.encode(asked), {"Content-Type": "application/json"}
        async with aclosing(self._lines(node, "POST", path, decode_event, data=body, headers=headers)) as events:
            async for event in events:
                yield event
                if isinstance(event, WorkDone | WorkFailed):
                    return
        raise NodeOffline(f"cannot follow work on node {node.name}: its word broke off before the end")

    async def _lines(
        self, node: Node, method: str, path: str, decode: Callable[[bytes], T], **more: Any
    ) -> AsyncGenerator[T, None]:
        async with self._ask(node, method, path, timeout=self._stream, **more) as response:
            async for line in split_lines(response.content.iter_any()):
                yield decode(line)

    async def _fetch(self, node: Node, path: str, shape: type[T], *, params: Mapping[str, str] | None = None) -> T:
        async with self._ask(node, "GET", path, timeout=self._plain, params=params) as response:
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > _MOST_ANSWER_BYTES:
                    raise ValueError(f"it is larger than {_MOST_ANSWER_BYTES} bytes")
            return msgspec.json.decode(data, type=shape)

    @asynccontextmanager
    async def _ask(
        self, node: Node, method: str, path: str, *, timeout: aiohttp.ClientTimeout, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer while it is open; whatever fails inside becomes a fault that names the node."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._context)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        url = URL.build(scheme="https", host=node.address, port=node.port, path=path)
        try:
            async with self._session.request(
                method, url, server_hostname=node_host(node.id), timeout=timeout, allow_redirects=False, **more
            ) as response:
                if response.status >= 300:
                    raise _fault(node, response.status, await response.content.read(64 * 1024))
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise NodeOffline(
                f"cannot ask node {node.name}: what answers at {node.address}:{node.port} is not this node "
                f"({error.certificate_error})"
            ) from error
        except TimeoutError as error:
            raise NodeOffline(f"cannot ask node {node.name}: its agent did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise NodeOffline(f"cannot ask node {node.name}: {reason}") from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise NodeFault(
                f"cannot read the answer of node {node.name}: {error}", remote_code="unreadable", kind=Kind.INTERNAL
            ) from error


def _fault(node: Node, status: int, body: bytes) -> NodeFault:
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except msgspec.MsgspecError:
        said = _Refusal()
    return NodeFault(
        said.error or f"node {node.name} answered {status}",
        remote_code=said.code,
        kind=_KINDS.get(status, Kind.INTERNAL),
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _read_pieces(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece
    finally:
        await asyncio.to_thread(file.close)

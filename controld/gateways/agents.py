"""Asks of the nodes' agents, over mutual TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from controld.core.faults import NodeFault, NodeOffline
from controld.gateways.agent_console import MOST_MESSAGE_BYTES, AgentConsole
from controld.model.node import Node
from kit.clock import Clock, SystemClock
from kit.faults import STATUS, Kind
from kit.http.ndjson import split_lines
from kit.http.sse import frame
from kit.http.sse_parse import split_events
from wire.agent.activity import Activity
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed, decode_event
from wire.agent.consoles import ConsoleBegin, ConsoleList, ConsoleResume, ConsoleState
from wire.agent.history import HostHistory, ServiceHistory
from wire.agent.images import ImageCache, SweepAsked, SweepDone
from wire.agent.logs import EVENTS, LinesDropped, LogLine, LogPlace, LogQuery, LogRecord, decode_record
from wire.agent.metrics import RecentRequests, ServiceMetrics
from wire.base import Lenient
from wire.identity import node_host

T = TypeVar("T")

_CLOSE_SECONDS: Final = 2.0
_PIECE_BYTES: Final = 1024 * 1024
_SWEEP_SECONDS: Final = 120.0
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
        clock: Clock | None = None,
    ) -> None:
        self._context = context
        self._clock = clock or SystemClock()
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
        async with aclosing(self._lines(node, "GET", "/logs", decode_record, params=_params(query))) as records:
            async for record in records:
                yield record

    async def read_log_events(self, node: Node, query: LogQuery) -> AsyncGenerator[bytes, None]:
        """The same as whole events, any number at once; an agent that makes none has its records framed here."""
        async with self._ask(node, "GET", "/logs", timeout=self._stream, params=_params(query)) as response:
            chunks = response.content.iter_any()
            if response.content_type == EVENTS:
                async with aclosing(split_events(chunks)) as pieces:
                    async for events in pieces:
                        yield events
                return
            async for line in split_lines(chunks):
                match decode_record(line):
                    case LogLine(id=id_, text=text):
                        yield frame(text, id=f"{query.frames}{id_}")
                    case LinesDropped(count=count):
                        yield frame(f"{count} lines dropped", event="dropped")
                    case LogPlace():
                        pass

    async def fetch_metrics(self, node: Node, service_id: str | None) -> ServiceMetrics:
        """Readings of the replicas of one service, or of all."""
        params = {} if service_id is None else {"service_id": service_id}
        return await self._fetch(node, "/metrics", ServiceMetrics, params=params)

    async def fetch_requests(self, node: Node, service_id: str) -> RecentRequests:
        """The newest requests of the service."""
        return await self._fetch(node, "/requests", RecentRequests, params={"service_id": service_id})

    async def open_console(self, node: Node, console_id: str, asked: ConsoleBegin | ConsoleResume) -> AgentConsole:
        """A connection to a console on which that was asked."""
        url = URL.build(scheme="https", host=node.address, port=node.port, path=f"/consoles/{console_id}")
        with _translated(node):
            async with asyncio.timeout(self._answer_seconds):
                websocket = await self._open_session().ws_connect(
                    url,
                    server_hostname=node_host(node.id),
                    compress=0,
                    max_msg_size=MOST_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                )
            return AgentConsole(node, websocket, asked, clock=self._clock)

    async def list_consoles(self, node: Node) -> tuple[ConsoleState, ...]:
        """The consoles that the node knows, those that ended lately included."""
        return (await self._fetch(node, "/consoles", ConsoleList)).consoles

    async def end_console(self, node: Node, console_id: str) -> None:
        """End it, and return when nothing of it is left."""
        async with self._ask(node, "DELETE", f"/consoles/{console_id}", timeout=self._plain):
            return

    async def fetch_activity(self, node: Node) -> Activity:
        """How long the services that the node's ingress leads to were asked for nothing."""
        return await self._fetch(node, "/activity", Activity)

    async def fetch_images(self, node: Node) -> ImageCache:
        """How many images the node holds of ours."""
        return await self._fetch(node, "/images", ImageCache)

    async def sweep_images(self, node: Node, asked: SweepAsked) -> SweepDone:
        """Have the node remove images of ours that nothing needs."""
        timeout = aiohttp.ClientTimeout(total=_SWEEP_SECONDS, sock_connect=self._plain.sock_connect)
        body, headers = msgspec.json.encode(asked), {"Content-Type": "application/json"}
        async with self._ask(node, "POST", "/images/sweep", timeout=timeout, data=body, headers=headers) as response:
            return msgspec.json.decode(await response.content.read(_MOST_ANSWER_BYTES), type=SweepDone)

    async def fetch_history(
        self, node: Node, service_id: str, *, since: dt.datetime, step_seconds: int
    ) -> ServiceHistory:
        """What the service's replicas on the node used since then, in points at least so wide."""
        params = {"service_id": service_id, "since": since.isoformat(), "step_seconds": str(step_seconds)}
        return await self._fetch(node, "/metrics/history", ServiceHistory, params=params)

    async def fetch_host_history(self, node: Node, *, since: dt.datetime, step_seconds: int) -> HostHistory:
        """What the node itself used, likewise."""
        params = {"since": since.isoformat(), "step_seconds": str(step_seconds)}
        return await self._fetch(node, "/node/history", HostHistory, params=params)

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
        url = URL.build(scheme="https", host=node.address, port=node.port, path=path)
        with _translated(node):
            async with self._open_session().request(
                method, url, server_hostname=node_host(node.id), timeout=timeout, allow_redirects=False, **more
            ) as response:
                if response.status >= 300:
                    raise _fault(node, response.status, await response.content.read(64 * 1024))
                yield response

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._context)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        return self._session


@contextmanager
def _translated(node: Node) -> Iterator[None]:
    """Word whatever fails in the block as a fault that names the node."""
    try:
        yield
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


def _params(query: LogQuery) -> list[tuple[str, str]]:
    return [
        (name, _text(each))
        for name, value in msgspec.to_builtins(query).items()
        if value is not None
        for each in (value if isinstance(value, list | tuple) else (value,))
    ]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _read_pieces(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
            yield piece
    finally:
        file.close()  # in a thread it would be left open by who is cancelled meanwhile

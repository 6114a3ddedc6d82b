"""Agents that answer as a script says, and remember what they were asked."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from controld.core.faults import NodeFault, NodeOffline
from controld.model.node import Node
from kit.faults import Kind
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed
from wire.agent.logs import LinesDropped, LogLine, LogQuery, LogRecord
from wire.agent.metrics import RecentRequests, ServiceMetrics
from wire.link import HostReport
from wire.spec import Origin

DIGEST = "sha256:" + "a" * 64
BUILT = WorkDone(image=f"shop/web@{DIGEST}", origin=Origin.HOSTED, digest=DIGEST, size_bytes=1000)


class FakeLog:
    """A node's log of one service, whose cursors count its lines; `cut` breaks every stream that is open."""

    def __init__(self) -> None:
        self.records: list[LogLine] = []
        self.dropped: list[LinesDropped] = []
        self.readers = 0
        self._cuts = 0
        self._changed = asyncio.Event()

    def write(self, text: str, *, at: dt.datetime) -> None:
        """Add a line."""
        id_ = f"c-{len(self.records)}-0"
        self.records.append(LogLine(id=id_, at=at, replica_id="r-1", stream="stdout", text=text))
        self._wake()

    def drop(self, count: int) -> None:
        """Tell whoever follows that lines are missing."""
        self.dropped.append(LinesDropped(count=count))
        self._wake()

    def cut(self) -> None:
        """Break every open stream."""
        self._cuts += 1
        self._wake()

    async def read(self, query: LogQuery) -> AsyncGenerator[LogRecord]:
        """What the query asks for."""
        cuts, position = self._cuts, 0
        if query.after is not None:
            position = int(query.after.split("-")[1]) + 1
        else:
            if query.since is not None:
                moment = query.since
                position = next((n for n, line in enumerate(self.records) if line.at >= moment), len(self.records))
            tail = query.tail if query.tail is not None else (200 if query.since is None else len(self.records))
            position = max(position, len(self.records) - tail)
        told = len(self.dropped)
        self.readers += query.follow
        try:
            while True:
                changed = self._changed
                while position < len(self.records):
                    position += 1
                    yield self.records[position - 1]
                while told < len(self.dropped):
                    told += 1
                    yield self.dropped[told - 1]
                if not query.follow:
                    return
                await changed.wait()
                if self._cuts != cuts:
                    raise NodeOffline("the stream broke")
        finally:
            self.readers -= query.follow

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class FakeAgents:
    """One set of works for all nodes; `events` says what work tells, and None in it waits until `go` is set."""

    def __init__(self) -> None:
        self.events: list[WorkEvent | None] = [BUILT]
        self.offline: set[str] = set()
        self.go = asyncio.Event()
        self.contexts: dict[tuple[str, str], bytes] = {}
        self.asked: list[tuple[str, str, BuildAsked | PullAsked]] = []
        self.cancelled: list[str] = []
        self.logs: dict[str, FakeLog] = {}
        """By node."""
        self.log_queries: list[tuple[str, LogQuery]] = []
        self.metrics: dict[tuple[str, str], ServiceMetrics] = {}
        """By node and service."""
        self.requests: dict[tuple[str, str], RecentRequests] = {}
        self.before: Callable[[str], None] = lambda _: None
        """Called with the name of each ask; what it raises is what the ask raises."""

    async def send_context(self, node: Node, work_id: str, path: Path) -> None:
        self._reach(node, "send_context")
        self.contexts[node.id, work_id] = await asyncio.to_thread(path.read_bytes)

    async def run_build(self, node: Node, work_id: str, asked: BuildAsked) -> AsyncIterator[WorkEvent]:
        self._reach(node, "run_build")
        if (node.id, work_id) not in self.contexts:
            raise NodeFault("no context", remote_code="context_missing", kind=Kind.CONFLICT)
        async for event in self._work(node, work_id, asked):
            yield event

    async def run_pull(self, node: Node, work_id: str, asked: PullAsked) -> AsyncIterator[WorkEvent]:
        self._reach(node, "run_pull")
        async for event in self._work(node, work_id, asked):
            yield event

    async def cancel_work(self, node: Node, work_id: str) -> None:
        self._reach(node, "cancel_work")
        self.cancelled.append(work_id)

    async def read_logs(self, node: Node, query: LogQuery) -> AsyncGenerator[LogRecord]:
        self._reach(node, "read_logs")
        self.log_queries.append((node.id, query))
        log = self.logs.setdefault(node.id, FakeLog())
        async with aclosing(log.read(query)) as records:
            async for record in records:
                self._reach(node, "record")
                yield record

    async def fetch_metrics(self, node: Node, service_id: str) -> ServiceMetrics:
        self._reach(node, "fetch_metrics")
        if (found := self.metrics.get((node.id, service_id))) is None:
            raise NodeOffline(f"node {node.name} tells no metrics of {service_id}")
        return found

    async def fetch_requests(self, node: Node, service_id: str) -> RecentRequests:
        self._reach(node, "fetch_requests")
        if (found := self.requests.get((node.id, service_id))) is None:
            raise NodeOffline(f"node {node.name} tells no requests of {service_id}")
        return found

    async def fetch_host(self, node: Node) -> HostReport:
        raise NodeOffline(f"node {node.name} tells nothing of itself")

    async def _work(self, node: Node, work_id: str, asked: BuildAsked | PullAsked) -> AsyncIterator[WorkEvent]:
        self.asked.append((node.id, work_id, asked))
        for event in list(self.events):
            if event is None:
                await self.go.wait()
                continue
            self._reach(node, "event")
            yield event
            if isinstance(event, WorkDone | WorkFailed):
                return
        raise NodeOffline(f"node {node.name} broke off")

    def _reach(self, node: Node, ask: str) -> None:
        self.before(ask)
        if node.id in self.offline:
            raise NodeOffline(f"cannot ask node {node.name}: it is off")

"""Agents that answer as a script says, and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from controld.core.faults import NodeFault, NodeOffline
from controld.model.node import Node
from kit.faults import Kind
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed
from wire.agent.logs import LogQuery, LogRecord
from wire.agent.metrics import RecentRequests, ServiceMetrics
from wire.link import HostReport
from wire.spec import Origin

DIGEST = "sha256:" + "a" * 64
BUILT = WorkDone(image=f"shop/web@{DIGEST}", origin=Origin.HOSTED, digest=DIGEST, size_bytes=1000)


class FakeAgents:
    """One set of works for all nodes; `events` says what work tells, and None in it waits until `go` is set."""

    def __init__(self) -> None:
        self.events: list[WorkEvent | None] = [BUILT]
        self.offline: set[str] = set()
        self.go = asyncio.Event()
        self.contexts: dict[tuple[str, str], bytes] = {}
        self.asked: list[tuple[str, str, BuildAsked | PullAsked]] = []
        self.cancelled: list[str] = []
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

    async def read_logs(self, node: Node, query: LogQuery) -> AsyncIterator[LogRecord]:
        self._reach(node, "read_logs")
        records: tuple[LogRecord, ...] = ()
        for record in records:
            yield record

    async def fetch_metrics(self, node: Node, service_id: str) -> ServiceMetrics:
        raise NodeOffline(f"node {node.name} tells no metrics of {service_id}")

    async def fetch_requests(self, node: Node, service_id: str) -> RecentRequests:
        raise NodeOffline(f"node {node.name} tells no requests of {service_id}")

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

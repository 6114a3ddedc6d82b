"""Agents that answer as a script says, and remember what they were asked."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from agent.model.engine import EPOCH
from agent.model.logs import Entry
from agent.rules.log_filter import LogFilter
from controld.core.faults import NodeFault, NodeOffline
from controld.model.node import Node
from kit.faults import Kind
from kit.http.sse import frame
from tests.fakes.consoles import FakeConsoleAgents
from wire.agent.activity import Activity
from wire.agent.builds import BuildAsked, PullAsked, WorkDone, WorkEvent, WorkFailed
from wire.agent.history import HostHistory, ServiceHistory
from wire.agent.images import ImageCache, SweepAsked, SweepDone
from wire.agent.logs import LinesDropped, LogLine, LogPlace, LogQuery, LogRecord
from wire.agent.metrics import RecentRequests, ServiceMetrics
from wire.spec import Origin

DIGEST = "sha256:" + "a" * 64
BUILT = WorkDone(image=f"shop/web@{DIGEST}", origin=Origin.HOSTED, digest=DIGEST, size_bytes=1000)


class FakeLog:
    """A node's log of one service, whose cursors count its lines; `cut` breaks every stream that is open.

    Lines that were not asked for are told of as places.
    """

    def __init__(self) -> None:
        self.records: list[LogLine] = []
        self.dropped: list[LinesDropped] = []
        self.readers = 0
        self._cuts = 0
        self._breaks_at: int | None = None
        self._changed = asyncio.Event()

    def write(self, text: str, *, at: dt.datetime, replica_id: str = "r-1", index: int | None = None) -> None:
        """Add a line."""
        id_ = f"c-{len(self.records)}-0"
        line = LogLine(id=id_, at=at, replica_id=replica_id, stream="stdout", text=text, replica_index=index)
        self.records.append(line)
        self._wake()

    def drop(self, count: int) -> None:
        """Tell whoever follows that lines are missing."""
        self.dropped.append(LinesDropped(count=count))
        self._wake()

    def break_at(self, position: int) -> None:
        """Break every stream that comes to this line."""
        self._breaks_at = position

    def cut(self) -> None:
        """Break every open stream."""
        self._cuts += 1
        self._wake()

    async def read(self, query: LogQuery) -> AsyncGenerator[LogRecord]:
        """What the query asks for."""
        cuts, position, wanted = self._cuts, 0, LogFilter(query)
        if query.after is not None:
            position = int(query.after.split("-")[1]) + 1
        else:
            if query.since is not None:
                moment = query.since
                position = next((n for n, line in enumerate(self.records) if line.at >= moment), len(self.records))
            tail = query.tail if query.tail is not None else (200 if query.since is None else len(self.records))
            taken = [n for n in range(position, len(self.records)) if wanted.keep([_entry(self.records[n])])]
            position = len(self.records) if tail == 0 else (taken[-tail:] or [len(self.records)])[0]
        told = len(self.dropped)
        self.readers += query.follow
        try:
            while True:
                changed = self._changed
                while position < len(self.records):
                    if position == self._breaks_at:
                        raise NodeOffline("the stream broke")
                    position += 1
                    line = self.records[position - 1]
                    yield line if wanted.keep([_entry(line)]) else LogPlace(id=line.id)
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


def _entry(line: LogLine) -> Entry:
    usec = (line.at - EPOCH) // dt.timedelta(microseconds=1)
    return Entry("", line.replica_id, usec, 0, line.stream, line.text, line.partial, line.replica_index)


class FakeAgents(FakeConsoleAgents):
    """One set of works for all nodes; `events` says what work tells, and None in it waits until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
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
        self.histories: dict[tuple[str, str], ServiceHistory] = {}
        self.host_histories: dict[str, HostHistory] = {}
        """By node and service."""
        self.requests: dict[tuple[str, str], RecentRequests] = {}
        self.activities: dict[str, Activity] = {}
        self.caches: dict[str, ImageCache] = {}
        """By node; a sweep removes one entry of 100 bytes."""
        self.sweeps: list[tuple[str, SweepAsked]] = []
        self.before: Callable[[str], None] = lambda _: None
        """Called with the name of each ask; what it raises is what the ask raises."""

    async def send_context(self, node: Node, work_id: str, path: Path) -> None:
        self._reach(node, "send_context")
        self.contexts[node.id, work_id] = await asyncio.to_thread(path.read_bytes)

    async def run_build(self, node: Node, work_id: str, asked: BuildAsked) -> AsyncIterator[WorkEvent]:
        self._reach(node, "run_build")
        if asked.clone is None and (node.id, work_id) not in self.contexts:
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

    async def read_log_events(self, node: Node, query: LogQuery) -> AsyncGenerator[bytes]:
        last = ""
        async with aclosing(self.read_logs(node, query)) as records:
            async for record in records:
                if isinstance(record, LinesDropped):
                    yield frame(f"{record.count} lines dropped", id=last or None, event="dropped")
                elif isinstance(record, LogLine):
                    last = f"{query.frames}{record.id}"
                    yield frame(record.text, id=last)

    async def fetch_metrics(self, node: Node, service_id: str | None) -> ServiceMetrics:
        self._reach(node, "fetch_metrics")
        if service_id is None:
            here = [found for (node_id, _), found in self.metrics.items() if node_id == node.id]
            return ServiceMetrics(replicas=tuple(each for found in here for each in found.replicas))
        if (found := self.metrics.get((node.id, service_id))) is None:
            raise NodeOffline(f"node {node.name} tells no metrics of {service_id}")
        return found

    async def fetch_requests(self, node: Node, service_id: str) -> RecentRequests:
        self._reach(node, "fetch_requests")
        if (found := self.requests.get((node.id, service_id))) is None:
            raise NodeOffline(f"node {node.name} tells no requests of {service_id}")
        return found

    async def fetch_activity(self, node: Node) -> Activity:
        self._reach(node, "fetch_activity")
        return self.activities.get(node.id, Activity(services=()))

    async def fetch_images(self, node: Node) -> ImageCache:
        self._reach(node, "fetch_images")
        return self.caches.get(node.id, ImageCache(entries=0, total_bytes=0))

    async def sweep_images(self, node: Node, asked: SweepAsked) -> SweepDone:
        self._reach(node, "sweep_images")
        self.sweeps.append((node.id, asked))
        cache = self.caches.get(node.id, ImageCache(entries=0, total_bytes=0))
        gone = min(cache.entries, 1)
        left = self.caches[node.id] = ImageCache(
            entries=cache.entries - gone, total_bytes=cache.total_bytes - gone * 100, oldest_at=cache.oldest_at
        )
        return SweepDone(
            cache=left,
            scanned=cache.entries,
            deleted=gone,
            deleted_bytes=gone * 100,
            kept_in_use=left.entries,
            kept_recent=0,
        )

    async def fetch_history(
        self, node: Node, service_id: str, *, since: dt.datetime, step_seconds: int
    ) -> ServiceHistory:
        self._reach(node, "fetch_history")
        if (found := self.histories.get((node.id, service_id))) is None:
            raise NodeOffline(f"node {node.name} tells no past of {service_id}")
        return found

    async def fetch_host_history(self, node: Node, *, since: dt.datetime, step_seconds: int) -> HostHistory:
        self._reach(node, "fetch_host_history")
        if (found := self.host_histories.get(node.id)) is None:
            raise NodeOffline(f"node {node.name} tells no past")
        return found

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

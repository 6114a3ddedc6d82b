"""What nodes say of themselves: the newest report of each in memory, written behind in batches."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from typing import Final

from controld.core.ports import Database, Feed, NodeReportStore
from controld.model.change import Change
from controld.model.report import NodeReport
from kit.clock import Clock
from wire.link import Heartbeat, HostReport

_HOST_SECONDS: Final = 60.0
"""After so long a silence of one node the numbers of another stand for the platform's host."""
_SLICE: Final = 200
"""So many rows are encoded before the loop is given back."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How long a node has been silent, and whether this process has heard of it at all; if not, that is no news."""

    seconds: float
    has_news: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _KnownHost:
    node_id: str
    report: HostReport
    heard: float


class Reports:
    """Takes heartbeats of the nodes that are linked here, and answers what any node last said.

    `take` never touches the database; `flush` writes what is new, once a second by the heartbeat duty. A report that
    was not written when the process dies is sent again whole, by a node that finds its link gone.
    """

    def __init__(self, *, database: Database, store: NodeReportStore, feed: Feed, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._feed = feed
        self._clock = clock
        self._linked: dict[str, NodeReport] = {}
        self._changed: dict[str, NodeReport] = {}
        self._told: set[str] = set()
        self._heard: dict[str, NodeReport] = {}
        self._seen: dict[str, tuple[dt.datetime | None, float, bool]] = {}
        self._host: _KnownHost | None = None
        self._flushing = asyncio.Lock()
        self.taken = 0
        """Heartbeats since the start."""

    @property
    def waiting(self) -> int:
        """Nodes with something that is not written yet."""
        return len(self._heard)

    async def open(self) -> None:
        """Take up the newest host numbers that are kept, so that a restart does not forget them."""
        async with self._database.read() as tx:
            newest = await self._store.newest(tx)
        if newest is not None and newest.host is not None:
            self._host = _KnownHost(newest.node_id, newest.host, self._clock.monotonic())

    def start(self, node_id: str) -> NodeReport:
        """Begin a report for a node whose link has just opened here; absent parts are unknown until it tells them."""
        report = NodeReport(node_id=node_id, heard_at=self._clock.now())
        self._linked[node_id] = report
        return report

    def end(self, report: NodeReport) -> None:
        """The link that this report belongs to has closed."""
        if self._linked.get(report.node_id) is report:
            del self._linked[report.node_id]

    def take(self, report: NodeReport, heartbeat: Heartbeat) -> None:
        """Bring the report up to date; a part that the heartbeat leaves out has not changed."""
        self.taken += 1
        report.heard_at = self._clock.now()
        node_id = report.node_id
        self._heard[node_id] = report
        is_news = report.applied_digest != heartbeat.applied_digest or report.converged is not heartbeat.converged
        is_new = False
        if heartbeat.replicas is not None and heartbeat.replicas != report.replicas:
            report.replicas = heartbeat.replicas
            is_news = True
        if heartbeat.job_runs is not None and heartbeat.job_runs != report.job_runs:
            report.job_runs = heartbeat.job_runs
            is_news = True
        if heartbeat.host is not None:
            report.host = heartbeat.host
            self._note_host(node_id, heartbeat.host)
            is_new = True
        if heartbeat.engine is not None:
            report.engine = heartbeat.engine
            is_new = True
        if heartbeat.ingress is not None:
            report.ingress = heartbeat.ingress
            is_new = True
        if is_news or report.wire_version is None:
            report.applied_digest = heartbeat.applied_digest
            report.converged = heartbeat.converged
            report.wire_version = heartbeat.wire_version
            report.agent_version = heartbeat.agent_version
            self._changed[node_id] = report
            self._told.add(node_id)
            self._feed.publish((Change("report", node_id),))
        elif is_new:
            self._changed[node_id] = report

    async def flush(self) -> None:
        """Write what is new, in one transaction, once what another call writes is written; what cannot be is kept for
        the next time.
        """
        async with self._flushing:
            if self._heard:
                await self._write()

    async def fetch(self, node_id: str) -> NodeReport | None:
        """The newest word of a node, from memory when it is linked here."""
        report = self._linked.get(node_id)
        if report is not None and report.wire_version is not None:
            return dataclasses.replace(report)
        if (waiting := self._changed.get(node_id)) is not None:
            return dataclasses.replace(waiting)
        async with self._database.read() as tx:
            return await self._store.get(tx, node_id)

    def latest_host_report(self) -> HostReport | None:
        """The newest numbers of the oldest node that tells some; while it is silent for long, of another."""
        return None if self._host is None else self._host.report

    async def _write(self) -> None:
        heard, changed, told = self._heard, self._changed, self._told
        self._heard, self._changed, self._told = {}, {}, set()
        try:
            async with self._database.write() as tx:
                reports = list(changed.values())
                for start in range(0, len(reports), _SLICE):
                    await self._store.save(tx, reports[start : start + _SLICE])
                    await asyncio.sleep(0)
                rows = [(node_id, report.heard_at) for node_id, report in heard.items()]
                for start in range(0, len(rows), _SLICE):
                    await self._store.touch(tx, rows[start : start + _SLICE])
                    await asyncio.sleep(0)
                tx.announce("report", *told)
        except BaseException:
            self._heard = heard | self._heard
            self._changed = changed | self._changed
            self._told |= told
            raise

    def _note_host(self, node_id: str, report: HostReport) -> None:
        now, known = self._clock.monotonic(), self._host
        if known is None or node_id <= known.node_id or now - known.heard > _HOST_SECONDS:
            self._host = _KnownHost(node_id, report, now)

    def heard_at(self, node_id: str) -> dt.datetime | None:
        """When a node that is linked here was last heard; None for others."""
        report = self._linked.get(node_id)
        return None if report is None or report.wire_version is None else report.heard_at

    def silence(self, node_id: str, *, heard_at: dt.datetime | None) -> Silence:
        """How long this process has seen no news of the node, given the moment that the database has.

        Only the steady clock counts: neither a jump of the wall clock nor a pause of controld makes a node look lost.
        """
        moment = self.heard_at(node_id) or heard_at
        now = self._clock.monotonic()
        before = self._seen.get(node_id)
        if before is None or before[0] != moment:
            has_news = before is not None or self.heard_at(node_id) is not None
            before = self._seen[node_id] = (moment, now, has_news)
        return Silence(seconds=now - before[1], has_news=before[2])

"""controld's end of the links: heartbeats in, specs out, one link for each node and none that is half open."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from controld.core.faults import NodeNotFound
from controld.core.node_directory import NodeDirectory
from controld.core.node_specs import CurrentSpec, NodeSpecs
from controld.core.nodes import Nodes
from controld.core.ports import Feed, LinkOutlet
from controld.core.reports import Reports
from controld.model.caller import Caller
from controld.model.change import EVERYTHING, Change
from controld.model.report import NodeReport
from controld.rules.node_state import compute_beat_seconds, speaks_our_version
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks
from wire.link import Heartbeat, HeartbeatAnswered, LinkRefused, SpecPushed, encode_frame
from wire.version import VERSION

_log = logging.getLogger(__name__)

_SILENT_BEATS: Final = 3
_PUSHES: Final = 32
"""Specs are pushed to so many nodes at one time."""


class LinkSession:
    """One open link; its node's heartbeats go through `take`, in order."""

    __slots__ = ("beat_seconds", "digest", "heard", "is_closed", "is_known", "node_id", "outlet", "report", "serial")

    def __init__(
        self, node_id: str, *, serial: str, outlet: LinkOutlet, report: NodeReport, heard: float, beat_seconds: float
    ) -> None:
        self.node_id = node_id
        self.serial = serial
        self.outlet = outlet
        self.report = report
        self.heard = heard
        """Steady moment of its last heartbeat."""
        self.beat_seconds = beat_seconds
        """The pace that it was last told."""
        self.digest: str | None = None
        """Of the spec that the node has, or was sent over this link."""
        self.is_known = False
        """Its first heartbeat was taken."""
        self.is_closed = False


class Links:
    """All links of this controld, by node.

    `sweep` is called each second and ends those that fell silent; `run` pushes specs as they change. A second link of
    a node ends the first.
    """

    def __init__(
        self,
        *,
        nodes: Nodes,
        directory: NodeDirectory,
        specs: NodeSpecs,
        reports: Reports,
        feed: Feed,
        clock: Clock,
        beat_seconds: float,
        heartbeats_per_second: float,
    ) -> None:
        self._nodes = nodes
        self._directory = directory
        self._specs = specs
        self._reports = reports
        self._clock = clock
        self._least_beat_seconds = beat_seconds
        self._heartbeats_per_second = heartbeats_per_second
        self._beat_seconds = beat_seconds
        self._sessions: dict[str, LinkSession] = {}
        self._stale: set[str] = set()
        self._suspects: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks = Tasks("links")
        self.opened = 0
        """Links that were opened since the start; what is above the number of nodes are reconnects."""
        self.fell_silent = 0
        """Links that were ended because nothing came any more."""
        specs.on_stale(self._spec_is_stale)
        feed.subscribe(self._node_changed, kinds=("node",))

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def beat_seconds(self) -> float:
        """The pace of heartbeats now."""
        return self._beat_seconds

    def open(self, caller: Caller, outlet: LinkOutlet) -> LinkSession:
        """Begin a link of the node that calls; another one that it has here is ended as replaced."""
        assert caller.node_id is not None
        self.opened += 1
        session = LinkSession(
            caller.node_id,
            serial=caller.token_id or "",
            outlet=outlet,
            report=self._reports.start(caller.node_id),
            heard=self._clock.monotonic(),
            beat_seconds=self._beat_seconds,
        )
        before = self._sessions.get(session.node_id)
        self._sessions[session.node_id] = session
        if before is not None:
            self._end(before, "replaced", "another link of this node was opened")
        # The certificate was looked at a moment ago; a removal in between has to be noticed.
        self._suspects.add(session.node_id)
        self._wake.set()
        return session

    def close(self, session: LinkSession) -> None:
        """The link has ended, from whichever side."""
        session.is_closed = True
        if self._sessions.get(session.node_id) is session:
            del self._sessions[session.node_id]
        self._reports.end(session.report)

    def take(self, session: LinkSession, heartbeat: Heartbeat) -> bytes | None:
        """Take a heartbeat and return the answer, or None when that needs `take_slowly`."""
        if not session.is_known:
            return None
        current = self._specs.remembered(session.node_id)
        if current is None:
            return None
        session.heard = self._clock.monotonic()
        self._reports.take(session.report, heartbeat)
        return self._answer(session, heartbeat, current)

    async def take_slowly(self, session: LinkSession, heartbeat: Heartbeat) -> bytes | None:
        """Likewise, asking the database for what is not remembered; None: the link was ended."""
        session.heard = self._clock.monotonic()
        if not session.is_known:
            if not speaks_our_version(heartbeat.wire_version):
                self._end(
                    session,
                    "version",
                    f"the agent speaks version {heartbeat.wire_version} of the contract, controld version {VERSION}",
                )
                return None
            self._reports.take(session.report, heartbeat)
            await self._nodes.note_link(
                session.node_id,
                serial=session.serial,
                agent_version=heartbeat.agent_version,
                wire_version=heartbeat.wire_version,
                peer_port=heartbeat.peer_port,
            )
            session.is_known = True
        else:
            self._reports.take(session.report, heartbeat)
        return self._answer(session, heartbeat, await self._specs.current(session.node_id))

    def sweep(self, *, fleet: int) -> None:
        """End links that were silent for three beats, and set the pace for a fleet of that size."""
        self._beat_seconds = compute_beat_seconds(
            fleet, least_seconds=self._least_beat_seconds, heartbeats_per_second=self._heartbeats_per_second
        )
        now = self._clock.monotonic()
        for session in [
            each for each in self._sessions.values() if now - each.heard > _SILENT_BEATS * each.beat_seconds
        ]:
            _log.warning("link is silent and closed", extra={"node_id": session.node_id})
            self.fell_silent += 1
            self.close(session)
            session.outlet.abort()

    async def run(self) -> None:
        """Push specs as they change and end links of removed nodes, until cancelled."""
        gate = asyncio.Semaphore(_PUSHES)
        while True:
            await self._wake.wait()
            self._wake.clear()
            suspects, self._suspects = self._suspects, set()
            stale, self._stale = self._stale, set()
            for node_id in suspects | stale:
                if (session := self._sessions.get(node_id)) is not None:
                    await gate.acquire()
                    work = self._tasks.start(f"push {node_id}", self._follow(session))
                    work.add_done_callback(lambda _: gate.release())

    async def stop(self) -> None:
        """End pushes and every link; agents dial again."""
        await self._tasks.close()
        for session in list(self._sessions.values()):
            self.close(session)
            session.outlet.abort()

    def _answer(self, session: LinkSession, heartbeat: Heartbeat, current: CurrentSpec) -> bytes:
        session.digest = current.digest
        session.beat_seconds = self._beat_seconds
        return encode_frame(
            HeartbeatAnswered(
                seq=heartbeat.seq,
                digest=current.digest,
                beat_seconds=self._beat_seconds,
                spec=None if current.digest == heartbeat.applied_digest else current.spec,
            )
        )

    async def _follow(self, session: LinkSession) -> None:
        """Bring one link in line with what is wanted of its node now."""
        try:
            node = await self._directory.get(session.node_id)
            if not node.accepts(session.serial):
                # The node has renewed and uses the new certificate, or another machine has enrolled in its place.
                self._end(session, "replaced", "this certificate was replaced by another")
                return
            current = await self._specs.current(session.node_id)
        except NodeNotFound:
            self._end(session, "removed", "this node was removed")
            return
        except Fault as fault:
            # The next heartbeat is answered with the spec.
            _log.warning("cannot push spec", extra={"node_id": session.node_id, "code": fault.code})
            return
        if session.is_known and not session.is_closed and session.digest != current.digest:
            session.digest = current.digest
            await session.outlet.send(encode_frame(SpecPushed(digest=current.digest, spec=current.spec)))

    def _end(self, session: LinkSession, code: str, message: str) -> None:
        self.close(session)
        _log.info("link ended", extra={"node_id": session.node_id, "code": code})
        self._tasks.start(
            f"end {session.node_id}", session.outlet.end(encode_frame(LinkRefused(code=code, message=message)))
        )

    def _spec_is_stale(self, node_id: str | None) -> None:
        if node_id is None:
            self._stale.update(self._sessions)
        elif node_id in self._sessions:
            self._stale.add(node_id)
        self._wake.set()

    def _node_changed(self, change: Change) -> None:
        if change is EVERYTHING:
            self._suspects.update(self._sessions)
        elif change.id in self._sessions:
            self._suspects.add(change.id)
        self._wake.set()

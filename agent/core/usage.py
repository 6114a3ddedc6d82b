"""What the replicas and the machine used lately: each sweep is one reading of all, kept as rates and levels."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.core.history import History, choose_step
from agent.core.metrics import ContainerReader
from agent.core.ports import Engine
from agent.model import labels
from agent.model.engine import Container, EngineEvent, EventKind
from agent.model.metrics import Reading, Target
from agent.model.usage import FIELDS, HOST_FIELDS, HOST_RATES, RATES
from agent.rules.rates import compute_host_usage, compute_usage
from kit.clock import Clock
from kit.faults import Fault
from wire.agent import history as messages
from wire.link import HostReport
from wire.spec import NodeSpec, Replica

_log = logging.getLogger(__name__)

_MOST_HISTORIES: Final = 1000
"""So many replicas are remembered, those that are gone included; the one unheard for longest makes room."""
_KEPT_SECONDS: Final = 7 * 24 * 3600
_ROSTER_CHANGES: Final = frozenset(
    {EventKind.CONTAINER_STARTED, EventKind.CONTAINER_DIED, EventKind.CONTAINER_DESTROYED, EventKind.RESYNC}
)


@dataclass(slots=True)
class _Followed:
    """A replica with its past; `reading` is its newest, taken at `read_at` by the clock that never jumps."""

    replica: Replica
    history: History
    reading: Reading | None = None
    read_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What the newest sweep read of a replica."""

    replica: Replica
    reading: Reading
    restarts: int


class Usage:
    """Sweeps when told to; `spec` says what the node should run. `note_event` has to hear the engine's events.

    The engine is asked for its containers only when one of them changed; for an engine that takes longer than
    `roster_seconds` the sweep does not wait, and reads those that it knew.
    """

    def __init__(
        self,
        engine: Engine,
        containers: ContainerReader,
        *,
        spec: Callable[[], NodeSpec | None],
        clock: Clock,
        roster_seconds: float = 2.0,
    ) -> None:
        self._engine = engine
        self._roster_seconds = roster_seconds
        self._containers = containers
        self._spec = spec
        self._clock = clock
        self._running: dict[str, Container] = {}
        self._stale = True
        self._followed: dict[str, _Followed] = {}
        self._host = History([name in HOST_RATES for name in HOST_FIELDS])
        self._host_before: tuple[HostReport, float] | None = None
        self.newest: tuple[Swept, ...] = ()
        """The newest sweep, in the order of the spec."""
        self.sweep_seconds: float | None = None
        """How long it took; None before the first."""

    @property
    def size_bytes(self) -> int:
        """What all points take in memory."""
        return self._host.size_bytes + sum(each.history.size_bytes for each in self._followed.values())

    def note_event(self, event: EngineEvent) -> None:
        """Look for the containers again when one of them started or ended."""
        if event.kind in _ROSTER_CHANGES:
            self._stale = True

    async def sweep(self, host: HostReport | None) -> None:
        """Read every replica that runs here, and take the machine's numbers along."""
        started = self._clock.monotonic()
        now = self._clock.now().timestamp()
        if host is not None:
            self._take_host(host, now=now, at=started)
        await self._refresh()
        spec = self._spec()
        wanted = [each for each in (spec.replicas if spec else ()) if each.id in self._running]
        readings = await self._containers.read(
            [
                Target(container_id=container.id, pid=container.pid)
                for container in (self._running[each.id] for each in wanted)
                if container.pid is not None
            ]
        )
        at = self._clock.monotonic()
        for replica, reading in zip(wanted, readings, strict=True):
            self._take(replica, reading, now=now, at=at)
        self.newest = tuple(
            Swept(replica=replica, reading=reading, restarts=self._running[replica.id].restarts)
            for replica, reading in zip(wanted, readings, strict=True)
        )
        self._forget(now)
        self.sweep_seconds = self._clock.monotonic() - started

    def list_service(self, service_id: str, *, since: dt.datetime, step_seconds: int) -> messages.ServiceHistory:
        """Points of every replica of the service that was seen here, by when it was first seen."""
        step = self._choose(since, step_seconds)
        return messages.ServiceHistory(
            step_seconds=step,
            fields=FIELDS,
            replicas=tuple(
                messages.ReplicaHistory(
                    replica_id=each.replica.id,
                    deployment_id=each.replica.deployment_id,
                    index=each.replica.index,
                    points=tuple(each.history.list(since=since.timestamp(), step_seconds=step)),
                )
                for each in self._followed.values()
                if each.replica.service_id == service_id
            ),
        )

    def list_host(self, *, since: dt.datetime, step_seconds: int) -> messages.HostHistory:
        """Points of the machine."""
        step = self._choose(since, step_seconds)
        points = tuple(self._host.list(since=since.timestamp(), step_seconds=step))
        return messages.HostHistory(step_seconds=step, fields=HOST_FIELDS, points=points)

    def _choose(self, since: dt.datetime, step_seconds: int) -> int:
        return choose_step(
            since=since.timestamp(), now=self._clock.now().timestamp(), step_seconds=max(1, step_seconds)
        )

    async def _refresh(self) -> None:
        if not self._stale:
            return
        self._stale = False
        try:
            async with asyncio.timeout(self._roster_seconds):
                listed = await self._engine.list_containers()
        except (Fault, TimeoutError) as error:
            self._stale = True
            _log.debug("containers not looked for", extra={"fault": str(error)})
            return
        self._running = {
            replica_id: container
            for container in listed
            if container.pid is not None and (replica_id := container.label(labels.REPLICA)) is not None
        }

    def _take_host(self, host: HostReport, *, now: float, at: float) -> None:
        before, before_at = self._host_before or (None, at)
        self._host.add(now, compute_host_usage(before, host, at - before_at))
        self._host_before = host, at

    def _take(self, replica: Replica, reading: Reading, *, now: float, at: float) -> None:
        followed = self._followed.get(replica.id)
        if followed is None:
            history = History([name in RATES for name in FIELDS])
            followed = self._followed[replica.id] = _Followed(replica=replica, history=history)
        followed.history.add(now, compute_usage(followed.reading, reading, at - followed.read_at))
        followed.replica, followed.reading, followed.read_at = replica, reading, at

    def _forget(self, now: float) -> None:
        old = [name for name, each in self._followed.items() if (each.history.newest_at or 0) < now - _KEPT_SECONDS]
        excess = len(self._followed) - len(old) - _MOST_HISTORIES
        if excess > 0:
            by_age = sorted(self._followed, key=lambda name: self._followed[name].history.newest_at or 0)
            old = by_age[: len(old) + excess]
        for name in old:
            del self._followed[name]

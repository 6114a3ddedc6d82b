"""Remembers of each replica, between two looks, what the engine does not tell: exits, failed actions, own stops."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from agent.core.faults import EngineUnavailable
from agent.model import labels
from agent.model.engine import EngineEvent, EventKind
from agent.model.plan import Action, Memory, PullImage, ReplaceContainer, StopContainer
from agent.model.standing import Standing
from agent.rules.restarts import count_exits, explain_exit, note_hold, note_setback, note_stop
from kit.clock import Clock
from kit.faults import Fault
from wire.link import Happening
from wire.spec import Wanted

_log = logging.getLogger(__name__)

_DIED_LIMIT: Final = 1000


class Recollection:
    """The memory of the plans; what happens is told to whoever is attached as it is noticed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tell: Callable[[Happening], None] | None = None
        self._died: dict[str, int] = {}
        self.memory = Memory()

    def attach(self, tell: Callable[[Happening], None]) -> None:
        """Tell happenings to this listener from now on."""
        self._tell = tell

    def tell(self, kind: str, message: str, *, replica_id: str | None = None, at: dt.datetime | None = None) -> None:
        """Tell of something that happened, now unless `at` says when."""
        if self._tell is not None:
            self._tell(Happening(at=at or self._clock.now(), kind=kind, message=message, replica_id=replica_id))

    def take_event(self, event: EngineEvent) -> None:
        """Keep what only events tell: the exit code of a run that was started again, and OOM kills."""
        if event.kind is EventKind.CONTAINER_DIED and event.container_id is not None and event.exit_code is not None:
            self._died.pop(event.container_id, None)
            self._died[event.container_id] = event.exit_code
            if len(self._died) > _DIED_LIMIT:
                del self._died[next(iter(self._died))]
        if event.kind is EventKind.CONTAINER_OOM:
            self.tell(
                "oom",
                "the kernel killed a process for passing the container's memory limit",
                replica_id=dict(event.labels).get(labels.REPLICA),
                at=event.at,
            )

    def take_look(self, standings: Mapping[str, Standing]) -> None:
        """Count the exits since the last look."""
        for name, standing in standings.items():
            if standing.container is None:
                continue
            known, ended = count_exits(
                self.memory.of(name),
                standing.container,
                replica_id=name,
                now=self._clock.monotonic(),
                died=self._died,
            )
            if standing.healthy:
                known = dataclasses.replace(known, stopped_because=None)
            self.memory = self.memory.remember(name, known)
            replica = standing.replica
            if ended is not None and replica.wanted is Wanted.RUNNING:
                how = explain_exit(known, memory_limit_bytes=replica.limits.memory_bytes)
                self.tell("exit", f"{replica.service} {replica.index}: {how}", replica_id=name)

    def begin(self, action: Action) -> None:
        """Expect the exit that the action is about to cause."""
        if not isinstance(action, StopContainer | ReplaceContainer):
            return
        known = self.memory.of(action.replica_id)
        if action.because is None:
            known = note_hold(known)
        else:
            known = note_stop(known, action.because, now=self._clock.monotonic())
            self.tell("restart", f"the replica is restarted because {action.because}", replica_id=action.replica_id)
        self.memory = self.memory.remember(action.replica_id, known)

    def end(self, action: Action, fault: Fault | None, *, replica_ids: Iterable[str]) -> None:
        """Record how the action went on each of the replicas; an engine that does not answer is nobody's fault."""
        if fault is not None:
            _log.warning("action failed", extra={"action": type(action).__name__, "fault": fault.message})
        for replica_id in replica_ids:
            known = self.memory.of(replica_id)
            if fault is None:
                # That the image is there says nothing of what the engine did not answer when it was to be used.
                unanswered = known.unanswered if isinstance(action, PullImage) else None
                known = dataclasses.replace(known, setback=None, unanswered=unanswered)
            else:
                if isinstance(action, StopContainer | ReplaceContainer):
                    known = dataclasses.replace(known, stopping=False)
                if isinstance(fault, EngineUnavailable):
                    known = dataclasses.replace(known, unanswered=fault.message)
                else:
                    known = note_setback(known, fault, now=self._clock.monotonic())
                    known = dataclasses.replace(known, unanswered=None)
            self.memory = self.memory.remember(replica_id, known)

"""The parts that read what replicas and the machine use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AsyncExitStack

from agent.core.metrics import Metrics
from agent.core.ports import Engine
from agent.core.requests import RecentRequests
from agent.core.usage import Usage
from agent.host.cgroup import CgroupReader
from agent.host.links import LinkCounters
from agent.host.node import HostReader
from agent.loops.sampler import Sampler
from agent.model.engine import EngineEvent
from agent.settings import Settings
from kit.clock import Clock
from wire.spec import NodeSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """Readings now, readings lately, and the loop that takes them."""

    metrics: Metrics
    usage: Usage
    sampler: Sampler
    open_files: Callable[[], int]
    """How many descriptors are held for containers."""

    def note_event(self, event: EngineEvent) -> None:
        """Hear what happened at the engine."""
        self.metrics.note_event(event)
        self.usage.note_event(event)


def open_instruments(
    settings: Settings,
    engine: Engine,
    *,
    spec: Callable[[], NodeSpec | None],
    requests: RecentRequests,
    clock: Clock,
    stack: AsyncExitStack,
) -> Instruments:
    """The parts; the stack closes the files that they hold."""
    containers = CgroupReader(
        proc_dir=settings.proc_dir, cgroup_dir=settings.cgroup_dir, clock=clock, links=LinkCounters()
    )
    stack.push_async_callback(containers.close)
    host = HostReader(proc_dir=settings.proc_dir, disk_path=settings.disk_path, clock=clock)
    metrics = Metrics(engine, containers, host, spec=spec)
    usage = Usage(engine, containers, spec=spec, clock=clock)
    sampler = Sampler(metrics, requests, usage=usage, spec=spec, clock=clock, sample_seconds=settings.sample_seconds)
    return Instruments(metrics=metrics, usage=usage, sampler=sampler, open_files=lambda: containers.open_files)

"""Keeps the numbers of the machine and its replicas fresh, and memory free of services that are gone."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.core.metrics import Metrics
from agent.core.requests import RecentRequests
from agent.core.usage import Usage
from kit.clock import Clock
from kit.faults import Fault
from wire.spec import NodeSpec

_log = logging.getLogger(__name__)


class Sampler:
    """Samples each `sample_seconds`; the kernel tells of no change in these numbers, so they have to be read."""

    def __init__(
        self,
        metrics: Metrics,
        requests: RecentRequests,
        *,
        usage: Usage,
        spec: Callable[[], NodeSpec | None],
        clock: Clock,
        sample_seconds: float,
    ) -> None:
        self._metrics = metrics
        self._requests = requests
        self._usage = usage
        self._spec = spec
        self._clock = clock
        self._sample_seconds = sample_seconds

    async def run(self) -> None:
        """Sample until cancelled."""
        told: str | None = None
        while True:
            try:
                await self._metrics.sample()
                await self._usage.sweep(self._metrics.host)
                told = None
            except Fault as fault:
                if fault.message != told:
                    told = fault.message
                    _log.warning("machine not sampled", extra={"fault": fault.message})
            spec = self._spec()
            if spec is not None:
                self._requests.keep([route.key for route in spec.routes])
            await self._clock.sleep(self._sample_seconds)

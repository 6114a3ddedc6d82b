"""Keeps the ingress at what the plan wants, and knows whether it is."""

from __future__ import annotations

from typing import Final

from agent.core.ports import Ingress
from agent.model.ingress import IngressObserved, IngressState, Process, ServerState
from agent.rules.rotation import shows
from kit.clock import Clock
from kit.faults import Fault
from wire.link import Part

AGAIN_SECONDS: Final = 5.0
"""How soon a proxy that shows something else than it was told is told again."""


class Rotation:
    """Applies a state when it is new, when the proxy was started anew, and when it shows something else."""

    def __init__(self, ingress: Ingress, clock: Clock) -> None:
        self._ingress = ingress
        self._clock = clock
        self._kept: IngressState | None = None
        self._screened = IngressState()
        self._told: IngressState | None = None
        self._process: Process | None = None
        self._applied_at = 0.0
        self.settled = False
        """The proxy was last seen to serve what is wanted, but for what it refuses."""
        self.drifted = False
        """The proxy was last seen to show something else than it was told."""
        self.part: Part | None = None
        """How the last application went; None before the first."""

    @property
    def serving(self) -> frozenset[str]:
        """The replicas that new requests reach, as far as the proxy was last seen to do what it was told."""
        if self._told is None or not self.settled:
            return frozenset()
        return frozenset(
            server.name for route in self._told.routes for server in route.servers if server.state is ServerState.READY
        )

    async def turn(self, wanted: IngressState, observed: IngressObserved | None) -> bool:
        """Lead the proxy to the state if it needs leading; True when something was done.

        While the proxy does not answer a new state is handed over once, to be kept for the proxy's next start.
        """
        new = wanted != self._kept
        if observed is None:
            self.settled = False
            self._process = None
            if new:
                await self._apply(wanted)
            return False
        self.drifted = not shows(observed, self._screened)
        restarted = observed.process != self._process
        late = self.drifted and self._clock.monotonic() - self._applied_at >= AGAIN_SECONDS
        if new or restarted or late:
            self.settled = await self._apply(wanted)
            self._process = observed.process if self.settled else None
            return self.settled
        return False

    async def _apply(self, wanted: IngressState) -> bool:
        self._applied_at = self._clock.monotonic()
        self._kept = self._screened = wanted
        try:
            result = await self._ingress.apply(wanted)
        except Fault as fault:
            self.part = Part(ok=False, detail=fault.message)
            return False
        self._screened, self._told = result.screened, wanted
        self.part = Part(ok=True, detail="; ".join((*result.refused, *result.failed)))
        return True

"""The duty that brings deployments forward: woken by changes and reports, several at one time."""

from __future__ import annotations

import logging
from typing import Final

from controld.core.deployment_steps import Steps
from controld.core.ports import Feed
from controld.loops.pulse import Pulse
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_KINDS: Final = ("deployment", "report", "node", "service")
_BEAT_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 2.0


class DeploymentDuty:
    """Runs until cancelled; a deployment whose step fails is left alone for a moment and harms no other."""

    def __init__(self, *, steps: Steps, feed: Feed, clock: Clock) -> None:
        self._steps = steps
        self._feed = feed
        self._clock = clock
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}

    async def run(self) -> None:
        """Keep the duty."""
        tasks = Tasks("deployments")
        pulse = Pulse(*_KINDS, feed=self._feed, clock=self._clock, beat_seconds=_BEAT_SECONDS)
        try:
            async with pulse:
                while True:
                    await pulse.wait()
                    for deployment_id in await self._list_due():
                        self._busy.add(deployment_id)
                        tasks.start(f"deployment-{deployment_id}", self._advance(deployment_id))
        finally:
            await tasks.close()

    async def _list_due(self) -> list[str]:
        now = self._clock.monotonic()
        self._not_before = {key: moment for key, moment in self._not_before.items() if moment > now}
        try:
            due = await self._steps.list_due()
        except Fault as fault:
            _log.warning("deployments cannot be listed", extra={"reason": fault.message})
            return []
        return [each for each in due if each not in self._busy and each not in self._not_before]

    async def _advance(self, deployment_id: str) -> None:
        pause: float | None = None
        try:
            pause = await self._steps.advance(deployment_id)
        except Fault as fault:
            pause = _PAUSE_SECONDS
            _log.warning("deployment step failed", extra={"deployment": deployment_id, "reason": fault.message})
        except Exception:  # noqa: BLE001 - it is logged, and the others have to go on
            pause = _PAUSE_SECONDS
            _log.exception("deployment step failed", extra={"deployment": deployment_id})
        finally:
            self._busy.discard(deployment_id)
            if pause is not None:
                self._not_before[deployment_id] = self._clock.monotonic() + pause

"""The duty that brings deployments, or runs of jobs, forward: woken by changes and reports, several at one time."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final, Protocol

from controld.core.ports import Feed
from controld.loops.pulse import Pulse
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 2.0
GIVE_UP_SECONDS: Final = 60.0
"""A thing whose steps do nothing but break for so long is ended as failed."""


class Steps(Protocol):
    """Steps of things of one kind."""

    async def list_due(self) -> list[str]:
        """Ids of those whose next step may be ready."""
        ...

    async def advance(self, thing_id: str, /) -> float | None:
        """Take every step that is ready; how many seconds to leave it alone before it is tried again, or None."""
        ...

    async def give_up(self, thing_id: str, /, *, why: str) -> None:
        """End the thing as failed for this reason, whatever step it was at."""
        ...


class StepDuty:
    """Runs until cancelled; a thing whose step fails is left alone for a moment and harms no other.

    One whose steps break for a minute, by an error of ours and no fault that may pass, is given up, so that it does not
    hold up what comes behind it for ever.

    `kind` says what the things are, and `kinds` which changes may make a step ready.
    """

    def __init__(self, kind: str, *, steps: Steps, kinds: Collection[str], feed: Feed, clock: Clock) -> None:
        self._kind = kind
        self._steps = steps
        self._kinds = kinds
        self._feed = feed
        self._clock = clock
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._broken_since: dict[str, float] = {}

    async def run(self) -> None:
        """Keep the duty."""
        tasks = Tasks(f"{self._kind} steps")
        pulse = Pulse(*self._kinds, feed=self._feed, clock=self._clock, beat_seconds=_BEAT_SECONDS)
        try:
            async with pulse:
                while True:
                    await pulse.wait()
                    for thing_id in await self._list_due():
                        self._busy.add(thing_id)
                        tasks.start(thing_id, self._advance(thing_id))
        finally:
            await tasks.close()

    async def _list_due(self) -> list[str]:
        now = self._clock.monotonic()
        self._not_before = {key: moment for key, moment in self._not_before.items() if moment > now}
        try:
            due = await self._steps.list_due()
        except Fault as fault:
            _log.warning("steps cannot be listed", extra={"kind": self._kind, "reason": fault.message})
            return []
        return [each for each in due if each not in self._busy and each not in self._not_before]

    async def _advance(self, thing_id: str) -> None:
        pause: float | None = None
        try:
            pause = await self._steps.advance(thing_id)
            self._broken_since.pop(thing_id, None)
        except Fault as fault:
            pause = _PAUSE_SECONDS
            _log.warning("step failed", extra={self._kind: thing_id, "reason": fault.message})
        except Exception as error:  # noqa: BLE001 - it is logged, and the others have to go on
            pause = _PAUSE_SECONDS
            _log.exception("step failed", extra={self._kind: thing_id})
            await self._note_broken(thing_id, error)
        finally:
            self._busy.discard(thing_id)
            if pause is not None:
                self._not_before[thing_id] = self._clock.monotonic() + pause

    async def _note_broken(self, thing_id: str, error: Exception) -> None:
        now = self._clock.monotonic()
        if now - self._broken_since.setdefault(thing_id, now) < GIVE_UP_SECONDS:
            return
        try:
            await self._steps.give_up(
                thing_id, why=f"an error of controld's own stops it ({type(error).__name__}); its log has the details"
            )
            del self._broken_since[thing_id]
        except Exception:  # noqa: BLE001 - it is tried again after the next step that breaks
            _log.exception("cannot be given up", extra={self._kind: thing_id})

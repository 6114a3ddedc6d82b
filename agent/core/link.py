"""The agent's end of the link: heartbeats out, specs in, and a way back whenever it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from agent.core.faults import ControlRefused
from agent.core.link_session import LinkSession
from agent.core.ports import LinkDialer, Observations, SpecSink
from agent.model.identity import LinkPhase, LinkStanding
from agent.rules.retry import compute_retry_seconds
from kit.clock import Clock
from kit.faults import Fault, Internal
from wire.link import Happening

_log = logging.getLogger(__name__)

_HAPPENINGS: Final = 200
_REFUSED_FACTOR: Final = 10
"""controld's refusal is not cured by haste: waits are so much longer."""


class Link:
    """Keeps one link to controld for as long as `run` runs.

    A heartbeat goes out at each beat, and at once when `notice` is called. One that stays unanswered for three quarters
    of a beat ends the link, so that a dead one is known within two beats; it is dialled again after a jittered pause
    that doubles up to a limit. `jitter` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        dialer: LinkDialer,
        observations: Observations,
        sink: SpecSink,
        *,
        clock: Clock,
        jitter: Callable[[], float],
        agent_version: str,
        peer_port: int | None = None,
        retry_least_seconds: float,
        retry_most_seconds: float,
    ) -> None:
        self._dialer = dialer
        self._observations = observations
        self._sink = sink
        self._clock = clock
        self._jitter = jitter
        self._agent_version = agent_version
        self._peer_port = peer_port
        self._retry_least_seconds = retry_least_seconds
        self._retry_most_seconds = retry_most_seconds
        self._happenings: deque[Happening] = deque(maxlen=_HAPPENINGS)
        self._wake = asyncio.Event()
        self._standing = LinkStanding(phase=LinkPhase.DOWN, answered_at=None, fault=None)
        self.dials = 0
        """How often it was dialled since the agent started."""

    @property
    def standing(self) -> LinkStanding:
        """How the link stands now."""
        return self._standing

    @property
    def untold(self) -> int:
        """Happenings that controld has not confirmed."""
        return len(self._happenings)

    def find_answer_age(self) -> float | None:
        """Seconds since controld last answered; None when it never has."""
        answered_at = self._standing.answered_at
        return None if answered_at is None else (self._clock.now() - answered_at).total_seconds()

    def notice(self) -> None:
        """Something changed on the node: tell it at once."""
        self._wake.set()

    def tell(self, happening: Happening) -> None:
        """Tell controld of this once; while there is no link the newest 200 are kept."""
        self._happenings.append(happening)
        self._wake.set()

    async def run(self) -> None:
        """Keep the link until cancelled; no failure of it ends this."""
        failures = 0
        while True:
            self._stand(LinkPhase.DIALLING, fault=self._standing.fault)
            self.dials += 1
            answered_before = self._standing.answered_at
            fault: Fault
            try:
                fault = await self._keep_one()
            except Exception as error:  # noqa: BLE001 - a bug in one link must not leave the node without any
                _log.error("link failed", exc_info=error)
                fault = Internal(f"cannot keep link: {error!r}")
            failures = 1 if self._standing.answered_at != answered_before else failures + 1
            self._stand(LinkPhase.DOWN, fault=fault.message)
            factor = _REFUSED_FACTOR if isinstance(fault, ControlRefused) else 1
            seconds = compute_retry_seconds(
                failures,
                least_seconds=self._retry_least_seconds * factor,
                most_seconds=self._retry_most_seconds * factor,
                jitter=self._jitter(),
            )
            _log.warning("link is down", extra={"code": fault.code, "fault": fault.message, "retry_seconds": seconds})
            await self._clock.sleep(seconds)

    async def _keep_one(self) -> Fault:
        """Dial and keep one link until it fails, and say why."""
        try:
            connection = await self._dialer.open()
        except Fault as fault:
            return fault
        self._wake.set()
        session = LinkSession(
            connection,
            self._observations,
            self._sink,
            clock=self._clock,
            agent_version=self._agent_version,
            peer_port=self._peer_port,
            wake=self._wake,
            happenings=self._happenings,
            on_answer=self._answered,
        )
        try:
            return await session.run()
        finally:
            await connection.close()

    def _stand(self, phase: LinkPhase, *, fault: str | None) -> None:
        self._standing = LinkStanding(phase=phase, answered_at=self._standing.answered_at, fault=fault)

    def _answered(self) -> None:
        if self._standing.phase is not LinkPhase.UP:
            _log.info("link is up")
        self._standing = LinkStanding(phase=LinkPhase.UP, answered_at=self._clock.now(), fault=None)

"""One open link, from its first heartbeat to the failure that ends it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from agent.core.faults import ControlRefused, ControlUnreachable
from agent.core.ports import LinkConnection, Observations, SpecSink
from agent.model.observed import Observed
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks
from wire import version
from wire.link import (
    FromControl,
    Happening,
    Heartbeat,
    HeartbeatAnswered,
    LinkRefused,
    SpecPushed,
    decode_from_control,
    encode_frame,
)
from wire.spec import NodeSpec

_log = logging.getLogger(__name__)

_FIRST_BEAT_SECONDS: Final = 5.0
_STEPS: Final = 4
"""A beat is watched in so many steps; a heartbeat is answered one step before the next is due, or the link is dead."""
_FIRST_STEP_SECONDS: Final = 0.1
_NEARLY: Final = 0.9
"""What is due is done at the step that comes nearest to its moment."""
_COALESCE_SECONDS: Final = 0.05
"""Changes that come together travel in one heartbeat."""
_MOST_HAPPENINGS: Final = 50


class LinkSession:
    """Sends heartbeats over one connection, takes specs from it, and notices when it is dead.

    `happenings` loses from its left what controld has confirmed.
    """

    def __init__(
        self,
        connection: LinkConnection,
        observations: Observations,
        sink: SpecSink,
        *,
        clock: Clock,
        agent_version: str,
        peer_port: int | None = None,
        wake: asyncio.Event,
        happenings: deque[Happening],
        on_answer: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._observations = observations
        self._sink = sink
        self._clock = clock
        self._agent_version = agent_version
        self._peer_port = peer_port
        self._wake = wake
        self._happenings = happenings
        self._on_answer = on_answer
        self._beat_seconds = _FIRST_BEAT_SECONDS
        self._has_pace = False
        self._seq = 0
        self._asked_at: float | None = None
        """Monotonic moment at which the oldest heartbeat without an answer was sent."""
        self._said: Observed | None = None
        self._told: tuple[int, tuple[Happening, ...]] = (0, ())
        """The heartbeat that carries happenings without an answer yet, and which they are."""

    async def run(self) -> Fault:
        """Keep the link until it fails; what is returned says why."""
        tasks = Tasks("link")
        try:
            parts: list[asyncio.Task[Fault]] = [
                tasks.start("receive", self._receive()),
                tasks.start("send", self._send()),
                tasks.start("watch", self._watch()),
            ]
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            fault: Fault = next(iter(done)).result()
            return fault
        finally:
            await tasks.close()

    async def _send(self) -> Fault:
        while True:
            await self._wake.wait()
            await self._clock.sleep(_COALESCE_SECONDS if self._seq else 0)
            self._wake.clear()
            heartbeat = self._make_heartbeat()
            if self._asked_at is None:
                self._asked_at = self._clock.monotonic()
            try:
                await self._connection.send(encode_frame(heartbeat))
            except Fault as fault:
                return fault

    async def _watch(self) -> Fault:
        beaten_at = self._clock.monotonic()
        while True:
            # Until controld has told its pace, look often.
            await self._clock.sleep(self._beat_seconds / _STEPS if self._has_pace else _FIRST_STEP_SECONDS)
            now = self._clock.monotonic()
            silent_seconds = 0.0 if self._asked_at is None else now - self._asked_at
            if silent_seconds >= self._beat_seconds * (_STEPS - 1) / _STEPS * _NEARLY:
                return ControlUnreachable(f"cannot keep link: controld has not answered for {silent_seconds:.1f} s")
            if now - beaten_at >= self._beat_seconds * _NEARLY:
                beaten_at = now
                self._wake.set()

    async def _receive(self) -> Fault:
        while True:
            try:
                frame = decode_from_control(await self._connection.receive())
            except msgspec.MsgspecError as error:
                return ControlUnreachable(f"cannot read what controld sent: {error}")
            except Fault as fault:
                return fault
            if isinstance(frame, LinkRefused):
                return ControlRefused(f"cannot keep link: {frame.message}", details={"code": frame.code})
            await self._take(frame)

    async def _take(self, frame: FromControl) -> None:
        match frame:
            case HeartbeatAnswered():
                self._note_answer(frame)
                if frame.spec is not None:
                    await self._accept(frame.spec, frame.digest)
            case SpecPushed():
                await self._accept(frame.spec, frame.digest)
            case LinkRefused():
                raise AssertionError("a refusal ends the link before")

    async def _accept(self, spec: NodeSpec, digest: str) -> None:
        _log.info("spec received", extra={"digest": digest, "replicas": len(spec.replicas)})
        await self._sink.accept(spec, digest)

    def _note_answer(self, answer: HeartbeatAnswered) -> None:
        self._beat_seconds = answer.beat_seconds
        self._has_pace = True
        if answer.seq == self._seq:
            self._asked_at = None
        else:
            # A later heartbeat is on its way; it was sent within a step or so.
            self._asked_at = self._clock.monotonic()
        seq, told = self._told
        if seq and answer.seq >= seq:
            for happening in told:
                if self._happenings and self._happenings[0] is happening:
                    self._happenings.popleft()
            self._told = (0, ())
            if self._happenings:
                self._wake.set()
        self._on_answer()

    def _make_heartbeat(self) -> Heartbeat:
        observed, said = self._observations.observe(), self._said
        self._said = observed
        self._seq += 1
        if not self._told[0] and self._happenings:
            self._told = (self._seq, tuple(self._happenings)[:_MOST_HAPPENINGS])
        return Heartbeat(
            seq=self._seq,
            sent_at=self._clock.now(),
            applied_digest=observed.applied_digest,
            converged=observed.converged,
            wire_version=version.VERSION,
            agent_version=self._agent_version,
            peer_port=self._peer_port,
            replicas=None if said is not None and said.replicas == observed.replicas else observed.replicas,
            job_runs=None if said is not None and said.job_runs == observed.job_runs else observed.job_runs,
            host=None if said is not None and said.host == observed.host else observed.host,
            engine=None if said is not None and said.engine == observed.engine else observed.engine,
            ingress=None if said is not None and said.ingress == observed.ingress else observed.ingress,
            happenings=self._told[1] if self._told[0] == self._seq else (),
        )

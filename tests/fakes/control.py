"""The other end of the agent's link, in memory: a test reads what the agent sends and decides what it hears."""

from __future__ import annotations

import asyncio

from agent.core.faults import ControlUnreachable
from agent.model.observed import Observed
from kit.faults import Fault
from wire.link import FromAgent, FromControl, Part, decode_from_agent, encode_frame
from wire.spec import NodeSpec


class FakeLinkConnection:
    """One link whose other side is the test."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[FromAgent] = asyncio.Queue()
        self.closed = False
        self._incoming: asyncio.Queue[bytes | Fault] = asyncio.Queue()

    def say(self, frame: FromControl) -> None:
        """Let the agent hear this."""
        self._incoming.put_nowait(encode_frame(frame))

    def break_off(self) -> None:
        """End the link from the other side."""
        self._incoming.put_nowait(ControlUnreachable("cannot receive: the link was closed"))

    async def send(self, frame: bytes) -> None:
        if self.closed:
            raise ControlUnreachable("cannot send: the link is closed")
        self.sent.put_nowait(decode_from_agent(frame))

    async def receive(self) -> bytes:
        got = await self._incoming.get()
        if isinstance(got, Fault):
            raise got
        return got

    async def close(self) -> None:
        self.closed = True


class FakeLinkDialer:
    """Hands out connections in order; `fault` makes the next dials fail."""

    def __init__(self) -> None:
        self.dialled: list[FakeLinkConnection] = []
        self.attempts = 0
        self.fault: Fault | None = None

    async def open(self) -> FakeLinkConnection:
        self.attempts += 1
        if self.fault is not None:
            raise self.fault
        connection = FakeLinkConnection()
        self.dialled.append(connection)
        return connection


class FakeObservations:
    """Says of the node what the test has put into `observed`."""

    def __init__(self) -> None:
        self.observed = Observed(
            applied_digest=None, converged=False, replicas=(), host=None, engine=Part(ok=True), ingress=Part(ok=True)
        )

    def observe(self) -> Observed:
        return self.observed


class FakeSpecSink:
    """Remembers the specs it was given, oldest first."""

    def __init__(self) -> None:
        self.accepted: list[tuple[NodeSpec, str]] = []

    async def accept(self, spec: NodeSpec, digest: str) -> None:
        self.accepted.append((spec, digest))

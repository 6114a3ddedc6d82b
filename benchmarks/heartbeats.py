"""Many nodes' heartbeats, over links to a node side or over length-prefixed frames to the bare peer.

A program for the load core: it opens every connection and says `ready`. For each line with a number of seconds that it
reads, it beats in a closed loop for so long; a second number is the pace, so many heartbeats a second over all nodes in
turn. It says how many were answered, and the milliseconds that 99 of 100 answers took at the most.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import hashlib
import os
import ssl
import struct
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast

import uvloop

from benchmarks.fleet import AUTHORITY
from kit import tls
from kit.lifecycle import settle_memory
from wire.identity import CONTROL_HOST
from wire.link import (
    PATH,
    Heartbeat,
    HeartbeatAnswered,
    HostReport,
    LinkRefused,
    Part,
    ReplicaReport,
    ReplicaState,
    decode_from_control,
    encode_frame,
)
from wire.version import VERSION

LENGTH: Final = struct.Struct(">I")
_REPLICAS: Final = 20
_VARIANTS: Final = 8
_DIALS_AT_ONCE: Final = 20
_TICK_SECONDS: Final = 0.005
_LAST_SECONDS: Final = 0.2
"""So long the last answers of a paced run may take."""
_MOMENT: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_heartbeat(number: int, *, digest: str | None) -> bytes:
    """The frame of `make_report`."""
    return encode_frame(make_report(number, digest=digest))


def make_report(number: int, *, digest: str | None = None) -> Heartbeat:
    """A node with 20 containers; its host's numbers differ with the number, its containers do not."""
    replicas = tuple(
        ReplicaReport(
            id=f"0190{index:04x}-0000-7000-8000-000000000000",
            state=ReplicaState.HEALTHY,
            since_at=_MOMENT,
            container_id=hashlib.sha256(bytes([index])).hexdigest(),
            address=f"172.18.0.{index + 2}:8080",
        )
        for index in range(_REPLICAS)
    )
    host = HostReport(
        cpu_user_jiffies=1_000_000 + number,
        cpu_nice_jiffies=0,
        cpu_system_jiffies=500_000 + number,
        cpu_idle_jiffies=90_000_000 + number,
        cpu_iowait_jiffies=1000,
        cpu_count=2,
        memory_total_bytes=8_000_000_000,
        memory_available_bytes=4_000_000_000 + number,
        load_1m=0.5,
        load_5m=0.5,
        load_15m=0.5,
        disk_total_bytes=100_000_000_000,
        disk_available_bytes=50_000_000_000,
        recorded_at=_MOMENT + dt.timedelta(seconds=number),
    )
    return Heartbeat(
        seq=number,
        sent_at=_MOMENT,
        applied_digest=digest,
        converged=True,
        wire_version=VERSION,
        agent_version="benchmark",
        replicas=replicas,
        host=host,
        engine=Part(ok=True, detail="20.10"),
        ingress=Part(ok=True, detail="2.6"),
    )


class _Framing(Protocol):
    """How frames travel over one kind of connection."""

    greeting: bytes

    def wrap(self, payload: bytes) -> bytes: ...

    def unwrap(self, data: bytes) -> tuple[bytes, int] | None: ...


class _LinkFraming:
    """WebSocket, as an agent speaks it."""

    greeting = (
        f"GET {PATH} HTTP/1.1\r\nHost: {CONTROL_HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {b64encode(bytes(16)).decode()}\r\n\r\n"
    ).encode()

    def wrap(self, payload: bytes) -> bytes:
        """One binary message, masked with zeros."""
        return struct.pack(">BBH4x", 0x82, 0x80 | 126, len(payload)) + payload

    def unwrap(self, data: bytes) -> tuple[bytes, int] | None:
        """The first message's payload and its length in all, or None while it is not whole."""
        if len(data) < 2:
            return None
        if data[0] != 0x82:
            raise ConnectionError(f"the link says {data!r}")
        head, length = 2, data[1]
        if length == 126:
            head, length = 4, int.from_bytes(data[2:4], "big")
        elif length == 127:
            head, length = 10, int.from_bytes(data[2:10], "big")
        return (data[head : head + length], head + length) if len(data) >= head + length else None


class _BareFraming:
    """A length ahead of each frame."""

    greeting = b""

    def wrap(self, payload: bytes) -> bytes:
        """The frame behind its length."""
        return LENGTH.pack(len(payload)) + payload

    def unwrap(self, data: bytes) -> tuple[bytes, int] | None:
        """The first frame and its length in all, or None while it is not whole."""
        if len(data) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(data)[0]
        return (data[LENGTH.size : end], end) if len(data) >= end else None


class _Fleet:
    """All connections, and how many heartbeats were answered."""

    def __init__(self, framing: _Framing) -> None:
        self.framing = framing
        self.nodes: list[_Node] = []
        self.running = False
        self.answered = 0
        self.waits: list[float] = []
        self.frames: list[bytes] = []
        self._beating = 0
        self._turn = 0
        self._silent = asyncio.Event()

    def know(self, digest: str) -> None:
        """Make the heartbeats, once the wanted digest is known."""
        if not self.frames:
            self.frames = [self.framing.wrap(make_heartbeat(n, digest=digest)) for n in range(_VARIANTS)]

    async def beat(self, seconds: float) -> int:
        """Every node sends, and sends again at each answer, for so long; how many were answered."""
        self.answered, self.running, self._beating = 0, True, len(self.nodes)
        self._silent.clear()
        for node in self.nodes:
            node.send()
        await asyncio.sleep(seconds)
        self.running = False
        await self._silent.wait()
        return self.answered

    async def pace(self, seconds: float, per_second: float) -> int:
        """The nodes send in turn, so many heartbeats a second, for so long; how many were answered."""
        loop = asyncio.get_running_loop()
        self.answered, self._beating = 0, 0
        started, sent = loop.time(), 0
        while (passed := loop.time() - started) < seconds:
            for _ in range(int(passed * per_second) - sent):
                self.nodes[self._turn % len(self.nodes)].send()
                self._turn += 1
                sent += 1
            await asyncio.sleep(_TICK_SECONDS)
        await asyncio.sleep(_LAST_SECONDS)
        return self.answered

    def find_wait(self) -> float:
        """The milliseconds of the 99th of 100 answers since the last time this was asked."""
        waits, self.waits = sorted(self.waits), []
        return waits[len(waits) * 99 // 100] * 1000 if waits else 0.0

    def take(self, waited: float) -> bool:
        """Count one answer; whether its node sends again."""
        self.answered += 1
        self.waits.append(waited)
        if not self.running and self._beating:
            self._beating -= 1
            if not self._beating:
                self._silent.set()
        return self.running


class _Node(asyncio.Protocol):
    """One node's connection."""

    def __init__(self, fleet: _Fleet) -> None:
        self._fleet = fleet
        self._data = b""
        self._turn = 0
        self._sent_at = 0.0
        self._now = asyncio.get_running_loop().time
        self._is_open = not fleet.framing.greeting
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports for TLS have all that an asyncio.Transport has, without being one.
        self._write: Callable[[bytes], None] = cast("asyncio.Transport", transport).write
        self._write(self._fleet.framing.greeting or self._first())

    def send(self) -> None:
        """Send one heartbeat."""
        self._turn += 1
        self._sent_at = self._now()
        self._write(self._fleet.frames[self._turn % _VARIANTS])

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        if not self._is_open:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                raise ConnectionError(f"the link was refused: {head!r}")
            self._is_open, self._data = True, rest
            self._write(self._first())
        while (frame := self._fleet.framing.unwrap(self._data)) is not None:
            payload, length = frame
            self._data = self._data[length:]
            self._take(payload)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(error or ConnectionError("the connection was closed"))
        else:
            print(f"lost a connection: {error or 'the other side closed it'}", file=sys.stderr)
            os._exit(1)

    def _first(self) -> bytes:
        return self._fleet.framing.wrap(make_heartbeat(0, digest=None))

    def _take(self, payload: bytes) -> None:
        fleet = self._fleet
        if not self.ready.done():
            answer = decode_from_control(payload)
            if isinstance(answer, HeartbeatAnswered):
                fleet.know(answer.digest)
                self.ready.set_result(None)
            elif isinstance(answer, LinkRefused):
                raise ConnectionError(f"the link was refused: {answer.message}")
            return
        if b'"answer"' not in payload[:40]:
            return  # a spec that is pushed asks for no answer here
        if fleet.take(self._now() - self._sent_at):
            self.send()


async def _run(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    fleet = _Fleet(_LinkFraming() if options.kind == "links" else _BareFraming())
    gate = asyncio.Semaphore(_DIALS_AT_ONCE)

    async def dial(number: int) -> None:
        context: ssl.SSLContext | None = None
        if options.identities is not None:
            own = options.identities / f"{number}.pem"
            if not own.exists():
                own = options.identities / "0.pem"
            authority = (options.identities / AUTHORITY).read_text()
            context = tls.client_context(authority_pem=authority, certificate=own, key=own)
        async with gate:
            _, node = await loop.create_connection(
                lambda: _Node(fleet),
                "127.0.0.1",
                options.port,
                ssl=context,
                server_hostname=CONTROL_HOST if context else None,
            )
            await node.ready
        fleet.nodes.append(node)

    await asyncio.gather(*map(dial, range(options.count)))
    settle_memory()
    print("ready", len(make_heartbeat(0, digest="sha256:" + "0" * 64)), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        seconds, *pace = map(float, line.split())
        answered = await (fleet.pace(seconds, pace[0]) if pace else fleet.beat(seconds))
        print(answered, fleet.find_wait(), flush=True)


def main() -> None:
    """Dial as the arguments say and follow standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["links", "frames"])
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--identities", type=Path, help="folder of the certificates; none: without TLS")
    uvloop.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()

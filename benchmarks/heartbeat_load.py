"""The clients of `benchmarks/heartbeat.py`: many nodes, each with one heartbeat under way."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import gc
import os
import struct
import sys
from typing import cast

import uvloop

_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_REPLICAS = 20


def make_heartbeat(node_id: str, *, seq: int) -> bytes:
    """A whole heartbeat of a node with 20 containers and nothing else to do; its host's numbers move with `seq`."""
    from wire.link import Heartbeat, HostReport, Part, ReplicaReport, ReplicaState, encode_frame
    from wire.spec import NodeSpec, compute_digest

    replicas = tuple(
        ReplicaReport(
            id=f"{node_id[:-4]}{number:04d}",
            state=ReplicaState.HEALTHY,
            since_at=_AT,
            address=f"172.18.0.{number}:80",
        )
        for number in range(_REPLICAS)
    )
    host = HostReport(
        cpu_user_jiffies=1_000_000 + seq,
        cpu_nice_jiffies=1,
        cpu_system_jiffies=500_000,
        cpu_idle_jiffies=90_000_000,
        cpu_iowait_jiffies=1000,
        cpu_count=2,
        memory_total_bytes=8 * 1024**3,
        memory_available_bytes=4 * 1024**3,
        load_1m=0.5,
        load_5m=0.4,
        load_15m=0.3,
        disk_total_bytes=100 * 1024**3,
        disk_available_bytes=50 * 1024**3,
        recorded_at=_AT,
    )
    return encode_frame(
        Heartbeat(
            seq=seq,
            sent_at=_AT,
            applied_digest=compute_digest(NodeSpec(node_id=node_id)),
            converged=True,
            wire_version=1,
            agent_version="0.1.0",
            replicas=replicas,
            host=host,
            engine=Part(ok=True, detail="20.10.24"),
            ingress=Part(ok=True, detail="2.6.12"),
        )
    )


def make_node_id(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


class _Client(asyncio.Protocol):
    """One node: sends the next heartbeat when the last is answered, for as long as `load.is_running`."""

    _transport: asyncio.Transport

    def __init__(self, load: _Load, number: int) -> None:
        self._load = load
        node_id = make_node_id(number)
        frames = [make_heartbeat(node_id, seq=seq) for seq in (1, 2)]
        self._is_websocket = load.kind == "ours"
        self._frames = [_mask(frame) if self._is_websocket else _prefix(frame) for frame in frames]
        self._next = 0
        self._node_id = node_id
        self._buffer = b""
        self._is_open = not self._is_websocket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._is_websocket:
            key = base64.b64encode(os.urandom(16)).decode()
            self._transport.write(
                f"GET /link HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"X-Node: {self._node_id}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )

    def send(self) -> None:
        self._next ^= 1
        self._transport.write(self._frames[self._next])

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            if b" 101 " not in head:
                raise RuntimeError(head.decode())
            self._is_open = True
            self._load.note_open()
        load = self._load
        while (end := self._end_of_frame(buffer)) is not None:
            buffer = buffer[end:]
            load.answered += 1
            if load.is_running:
                self.send()
            else:
                load.note_quiet()
        self._buffer = buffer

    def _end_of_frame(self, buffer: bytes) -> int | None:
        if self._is_websocket:
            if len(buffer) < 4:
                return None
            length = buffer[1]
            end = 4 + int.from_bytes(buffer[2:4], "big") if length == 126 else 2 + length
        else:
            if len(buffer) < 4:
                return None
            end = 4 + int.from_bytes(buffer[:4], "big")
        return end if len(buffer) >= end else None

    def connection_lost(self, error: Exception | None) -> None:
        print("connection lost", error, file=sys.stderr, flush=True)


class _Load:
    """The clients together."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.answered = 0
        self.all_open = asyncio.Event()
        self.all_quiet = asyncio.Event()
        self.is_running = False
        self._left = 0
        self._waiting = 0

    def note_open(self) -> None:
        """One more link is open."""
        self._left -= 1
        if not self._left:
            self.all_open.set()

    def note_quiet(self) -> None:
        """One more client has stopped."""
        self._waiting -= 1
        if not self._waiting:
            self.all_quiet.set()

    async def run(self, port: int, count: int) -> None:
        """Connect, then load for as long as each line on standard input says."""
        loop = asyncio.get_running_loop()
        self._left = count
        clients = []
        for number in range(count):
            _, client = await loop.create_connection(lambda number=number: _Client(self, number), "127.0.0.1", port)  # type: ignore[misc]
            clients.append(client)
        if self.kind == "ours":
            await self.all_open.wait()
        print(len(make_heartbeat(make_node_id(1), seq=1)), flush=True)
        gc.collect()
        gc.freeze()
        while line := await asyncio.to_thread(sys.stdin.readline):
            before, self.is_running, self._waiting = self.answered, True, count
            self.all_quiet.clear()
            for client in clients:
                client.send()
            await asyncio.sleep(float(line))
            self.is_running = False
            await self.all_quiet.wait()
            print(self.answered - before, flush=True)


def _prefix(frame: bytes) -> bytes:
    return struct.pack(">I", len(frame)) + frame


def _mask(frame: bytes) -> bytes:
    key = os.urandom(4)
    masked = bytes(byte ^ key[place % 4] for place, byte in enumerate(frame))
    return b"\x82" + bytes([0x80 | 126]) + struct.pack(">H", len(frame)) + key + masked


if __name__ == "__main__":
    uvloop.run(_Load(sys.argv[1]).run(int(sys.argv[2]), int(sys.argv[3])))

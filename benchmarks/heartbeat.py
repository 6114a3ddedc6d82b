"""What one heartbeat costs controld, as a multiple of length-prefixed frames on a bare protocol that keeps a dict.

`python benchmarks/heartbeat.py` measures and prints; `measure` is for a harness. Ours is the node side as shipped: its
server, WebSocket, link, reports and write-behind to SQLite. Both run on uvloop with the same collector settings and
decode the same 2.5 KB; 1,000 clients, each with one heartbeat under way, load them in turn from the other core.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import gc
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

_ROOT = Path(__file__).resolve().parent.parent
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_REPLICAS = 20
_WARM_SECONDS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU per heartbeat of both servers in microseconds and the ratio, each as the median of the rounds."""

    ours_microseconds: float
    bare_microseconds: float
    ratio: float
    rounds: int
    clients: int
    heartbeat_bytes: int


def measure(*, rounds: int = 5, seconds: float = 3.0, clients: int = 1000) -> Cost:
    """Run both servers side by side and load them in turn."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        sides, size = [], 0
        for kind in ("ours", "bare"):
            serving = ["serve", kind, scratch, str(clients)]
            server = stack.enter_context(_process(kind, scratch, core=0, arguments=serving))
            port = server.readline()
            load = stack.enter_context(
                _process(f"load-{kind}", scratch, core=1, arguments=["load", kind, port, str(clients)])
            )
            size = int(load.readline())
            sides.append((server.pid, load))
            load.ask(_WARM_SECONDS)
        ours, bare = sides
        pairs = [(_cost(*ours, seconds=seconds), _cost(*bare, seconds=seconds)) for _ in range(rounds)]
    return Cost(
        ours_microseconds=statistics.median(mine for mine, _ in pairs),
        bare_microseconds=statistics.median(theirs for _, theirs in pairs),
        ratio=statistics.median(mine / theirs for mine, theirs in pairs),
        rounds=rounds,
        clients=clients,
        heartbeat_bytes=size,
    )


class _Running:
    """A process that is spoken to by lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def readline(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("a process of the benchmark ended")
        return line

    def ask(self, seconds: float) -> int:
        """Load for so long; how many heartbeats were answered."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return int(self.readline())


@contextlib.contextmanager
def _process(name: str, scratch: str, *, core: int, arguments: list[str]) -> Iterator[_Running]:
    command = ["taskset", "-c", str(core), sys.executable, str(Path(__file__).resolve()), *arguments]
    with (Path(scratch) / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
    try:
        yield _Running(process)
    except BaseException:
        print((Path(scratch) / f"{name}.log").read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)


def _cost(pid: int, load: _Running, *, seconds: float) -> float:
    """Microseconds of CPU that each heartbeat cost the server."""
    before = _cpu_seconds(pid)
    answered = load.ask(seconds)
    return (_cpu_seconds(pid) - before) / answered * 1e6


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


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


def _node_id(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


class _Client(asyncio.Protocol):
    """One node: sends the next heartbeat when the last is answered, for as long as `load.is_running`."""

    _transport: asyncio.Transport

    def __init__(self, load: _Load, number: int) -> None:
        self._load = load
        node_id = _node_id(number)
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
        print(len(make_heartbeat(_node_id(1), seq=1)), flush=True)
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


async def _serve(kind: str, scratch: str, clients: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    port = await (_serve_ours(scratch, clients) if kind == "ours" else _serve_bare())
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    print(port, flush=True)
    await stop.wait()


class _Bare(asyncio.Protocol):
    """Decodes each frame, keeps it, answers it."""

    _transport: asyncio.Transport
    kept: dict[_Bare, Any]
    decode: Any
    encode: Any
    answered: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while len(buffer) >= 4:
            end = 4 + int.from_bytes(buffer[:4], "big")
            if len(buffer) < end:
                break
            heartbeat = self.decode(buffer[4:end])
            self.kept[self] = heartbeat
            answer = self.encode(self.answered(seq=heartbeat.seq, digest=heartbeat.applied_digest, beat_seconds=5.0))
            self._transport.write(len(answer).to_bytes(4, "big") + answer)
            buffer = buffer[end:]
        self._buffer = buffer


async def _serve_bare() -> int:
    from wire.link import HeartbeatAnswered, decode_from_agent, encode_frame

    kept: dict[Any, Any] = {}
    members = {
        "kept": kept,
        "decode": staticmethod(decode_from_agent),
        "encode": staticmethod(encode_frame),
        "answered": HeartbeatAnswered,
    }
    protocol = type("Bare", (_Bare,), members)
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, backlog=1024)
    return int(server.sockets[0].getsockname()[1])


async def _serve_ours(scratch: str, clients: int) -> int:
    from aiohttp import web

    from controld.api.nodeside.link import LinkHandlers
    from controld.core.audit import Audit
    from controld.core.link import Links
    from controld.core.node_directory import NodeDirectory
    from controld.core.node_specs import NodeSpecs
    from controld.core.nodes import Nodes
    from controld.core.reports import Reports
    from controld.model.caller import Caller, CallerKind, TokenKind
    from controld.model.node import Node, NodeState
    from controld.store.audit import AuditStore
    from controld.store.engine import Database
    from controld.store.feed import Feed
    from controld.store.node_reports import NodeReportStore
    from controld.store.node_specs import NodeSpecStore
    from controld.store.nodes import NodeStore
    from kit.clock import SystemClock
    from kit.http.server import Server
    from kit.http.surface import Route, Surface
    from kit.ids import SystemIds
    from kit.tasks import Tasks

    clock, ids, feed, store = SystemClock(), SystemIds(), Feed("benchmark"), NodeStore()
    database = Database(f"sqlite+aiosqlite:///{scratch}/control.db", feed=feed, clock=clock)
    await database.open()
    async with database.write() as tx:
        for number in range(clients):
            await store.add(
                tx,
                Node(
                    id=_node_id(number),
                    name=f"vm{number}",
                    state=NodeState.JOINING,
                    labels={},
                    address="127.0.0.1",
                    port=7190,
                    certificate_serial="a",
                    previous_serial=None,
                    certificate_expires_at=_AT,
                    agent_version=None,
                    wire_version=None,
                    created_at=_AT,
                    heard_at=None,
                    removed_at=None,
                ),
            )
    reports = Reports(database=database, store=NodeReportStore(), feed=feed, clock=clock)
    audit = Audit(AuditStore(), clock=clock, ids=ids)
    links = Links(
        nodes=Nodes(database=database, store=store, reports=reports, audit=audit, clock=clock),
        directory=NodeDirectory(database=database, store=store, feed=feed),
        specs=NodeSpecs(database=database, store=NodeSpecStore(), feed=feed),
        reports=reports,
        feed=feed,
        clock=clock,
        # Links are idle while the other side is measured.
        beat_seconds=600,
        heartbeats_per_second=2000,
    )

    async def authenticate(request: web.Request) -> Caller:
        return Caller(
            kind=CallerKind.NODE, token_kind=TokenKind.CERTIFICATE, token_id="a", node_id=request.headers["X-Node"]
        )

    async def write_behind() -> None:
        while True:
            await clock.sleep(1)
            links.sweep(fleet=clients)
            await reports.flush()

    surface = Surface(
        name="nodeside",
        title="",
        version="1",
        claims=("/link",),
        routes=(
            Route(
                method="GET",
                path="/link",
                access="node",
                handler=LinkHandlers(links).keep,
                summary="",
                stream="websocket",
            ),
        ),
        authenticate=authenticate,
        render_fault=lambda request, fault: web.Response(status=fault.status, text=f"{request.path}: {fault}"),
    )
    tasks = Tasks("benchmark")
    server = Server([surface], host="127.0.0.1", port=0, ids=ids, tasks=tasks)
    await server.start()
    tasks.start("links", links.run())
    tasks.start("write behind", write_behind())
    return server.port


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(_serve(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    elif sys.argv[1:2] == ["load"]:
        uvloop.run(_Load(sys.argv[2]).run(int(sys.argv[3]), int(sys.argv[4])))
    else:
        cost = measure()
        print(
            f"a heartbeat of {cost.heartbeat_bytes} bytes costs {cost.ours_microseconds:.1f} us, on a bare protocol "
            f"{cost.bare_microseconds:.1f} us: {cost.ratio:.2f}x, medians of {cost.rounds} rounds, "
            f"{cost.clients} clients"
        )

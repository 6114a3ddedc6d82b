"""What one heartbeat costs controld, as a multiple of length-prefixed frames on a bare protocol that keeps a dict.

`python benchmarks/heartbeat.py` measures and prints; `measure` is for a harness. Ours is the node side as shipped: its
server, WebSocket, link, reports and write-behind to SQLite. Both run on uvloop with the same collector settings and
decode the same 2.5 KB; 1,000 clients, each with one heartbeat under way, load them in turn from the other core.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

_HERE = Path(__file__).resolve()
_LOAD = _HERE.with_name("heartbeat_load.py")
_ROOT = _HERE.parent.parent
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
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
            serving = [str(_HERE), "serve", kind, scratch, str(clients)]
            server = stack.enter_context(_process(kind, scratch, core=0, arguments=serving))
            port = server.readline()
            load = stack.enter_context(
                _process(f"load-{kind}", scratch, core=1, arguments=[str(_LOAD), kind, port, str(clients)])
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
    command = ["taskset", "-c", str(core), sys.executable, *arguments]
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

    from benchmarks.heartbeat_load import make_node_id
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
                    id=make_node_id(number),
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
    else:
        cost = measure()
        print(
            f"a heartbeat of {cost.heartbeat_bytes} bytes costs {cost.ours_microseconds:.1f} us, on a bare protocol "
            f"{cost.bare_microseconds:.1f} us: {cost.ratio:.2f}x, medians of {cost.rounds} rounds, "
            f"{cost.clients} clients"
        )

"""What one authenticated GET of a small document costs on our server, as a multiple of a bare aiohttp handler.

`python benchmarks/http_read.py` measures and prints; `measure` is for a harness. Both servers run on uvloop with the
same collector settings, answer the same 637 bytes, and are pinned to core 0; wrk loads them from core 1. Rounds
alternate, and the cost is the server's own CPU time from /proc, per request.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from aiohttp import web

_ROOT = Path(__file__).resolve().parent.parent
_TOKEN = "mrt_" + "0123456789abcdef" * 4
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), camera=(), payment=(), usb=(), interest-cohort=()",
}


class Node(msgspec.Struct):
    """A document of the size of the one that the goal names."""

    control_domain: str | None
    cpu_percent: float
    memory_bytes: int
    notes: str


NODE = Node(control_domain=None, cpu_percent=12.5, memory_bytes=8_589_934_592, notes="n" * 558)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU per request of both servers in microseconds and the ratio, each as the median of the rounds."""

    ours_microseconds: float
    bare_microseconds: float
    ratio: float
    rounds: int


def measure(*, rounds: int = 5, seconds: int = 3) -> Cost:
    """Run both servers side by side and load them in turn."""
    with tempfile.TemporaryDirectory() as scratch, _server("bare", scratch) as bare, _server("ours", scratch) as ours:
        for pid, port in (bare, ours):
            _load(pid, port, seconds=1)
        pairs = [(_load(*ours, seconds=seconds), _load(*bare, seconds=seconds)) for _ in range(rounds)]
    return Cost(
        ours_microseconds=statistics.median(mine for mine, _ in pairs),
        bare_microseconds=statistics.median(theirs for _, theirs in pairs),
        ratio=statistics.median(mine / theirs for mine, theirs in pairs),
        rounds=rounds,
    )


@contextlib.contextmanager
def _server(kind: str, scratch: str) -> Iterator[tuple[int, int]]:
    command = ["taskset", "-c", "0", sys.executable, str(Path(__file__).resolve()), "serve", kind]
    with (Path(scratch) / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "PYTHONPATH": str(_ROOT)}
        )
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stdout.close()


def _load(pid: int, port: int, *, seconds: int) -> float:
    """Microseconds of CPU that each request cost the server."""
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c32", f"-d{seconds}s", "-H", f"Authorization: Bearer {_TOKEN}"]
    before = _cpu_seconds(pid)
    told = subprocess.run([*command, f"http://127.0.0.1:{port}/v1/node"], check=True, capture_output=True, text=True)
    spent = _cpu_seconds(pid) - before
    found = re.search(r"(\d+) requests in", told.stdout)
    if found is None or "Non-2xx" in told.stdout:
        raise RuntimeError(f"cannot measure: {told.stdout}")
    return spent / int(found[1]) * 1e6


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


async def _serve(kind: str) -> None:
    port = await (_serve_ours() if kind == "ours" else _serve_bare())
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    print(port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


async def _serve_bare() -> int:
    data = msgspec.json.encode(NODE)

    async def get_node(_: web.Request) -> web.Response:
        return web.Response(body=data, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/node", get_node)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1])


async def _serve_ours() -> int:
    from kit.faults import Fault, Unauthenticated
    from kit.http.server import Server
    from kit.http.surface import Ask, Route, Surface
    from kit.ids import SystemIds
    from kit.tasks import Tasks

    callers = {hashlib.sha256(_TOKEN.encode()).digest(): "ada"}

    async def authenticate(request: web.Request) -> Any:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        caller = callers.get(hashlib.sha256(header.removeprefix("Bearer ").encode()).digest())
        if caller is None:
            raise Unauthenticated("cannot tell who is calling: the token is not known")
        return caller

    def render_fault(_: web.Request, fault: Fault) -> web.Response:
        return web.json_response({"error": fault.message}, status=fault.status)

    async def get_node(_: Ask) -> Node:
        return NODE

    surface = Surface(
        name="v1",
        title="Benchmark",
        version="1",
        claims=("/v1",),
        routes=(Route(method="GET", path="/v1/node", access="any", handler=get_node, summary="This node"),),
        authenticate=authenticate,
        render_fault=render_fault,
        credential_first=True,
        response_headers=_SECURITY_HEADERS,
    )
    server = Server([surface], host="127.0.0.1", port=0, ids=SystemIds(), tasks=Tasks("server"))
    await server.start()
    return server.port


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(_serve(sys.argv[2]))
    else:
        print(msgspec.json.encode(measure()).decode())

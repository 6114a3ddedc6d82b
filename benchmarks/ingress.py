"""What a request through the ingress costs with 500 hosts, beside one host and beside a bare HAProxy.

`python benchmarks/ingress.py` measures and prints; `measure` and `measure_changes` are for a harness. Each proxy is
pinned to core 0; wrk, the upstream (another HAProxy that answers by itself) and the reader of the access log share core
1. Rounds alternate, and the cost is the worker's own CPU time from /proc, per request. All write the same access log;
the bare one leads every request to one backend and does nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.core.faults import IngressUnavailable
from agent.host.haproxy.config import SERVER_OPTIONS, HaproxyPaths, HaproxySettings
from agent.host.haproxy.driver import HaproxyIngress
from agent.model.ingress import IngressState, Route, Server
from kit.clock import SystemClock

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_HOSTS = (0, 317, 499)

_UPSTREAM = """
global
  maxconn 4000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend answer
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "hello from a replica of this service\\n"
"""

_BARE = """
global
  stats socket {run}/admin.sock mode 600 level admin
  maxconn 10000
  no strict-limits
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend web
  bind 127.0.0.1:{port}
  log {run}/access.sock len 4096 format raw local0 info
  log-format '{{"at_ms":%[date(0,ms)],"host":"%[capture.req.hdr(0)]","route":"%b","server":"%s","method":"%HM",\
"path":"%[capture.req.uri,field(1,?),json(utf8s)]","status":%ST,"bytes":%B,"duration_ms":%Ta,"end":"%ts"}}'
  capture request header Host len 64
  default_backend one
backend one
  server r0 127.0.0.1:{upstream} {options}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Microseconds of CPU per request, and the ratios that the goal names, each as the median of the rounds.

    `many_to_one` compares the CPU of 500 hosts with that of one; `work_to_bare` and `rate_to_bare` requests per second
    of CPU and of time with those of the bare proxy. The rate counts only when `busy_percent` of the core says that the
    proxy was what held it back.
    """

    many_microseconds: float
    one_microseconds: float
    bare_microseconds: float
    many_to_one: float
    work_to_bare: float
    rate_to_bare: float
    busy_percent: float
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCost:
    """Milliseconds of one change among 500 routes, until done and of the proxy's CPU, and what it does to the load."""

    apply_milliseconds: float
    proxy_milliseconds: float
    failed: int
    rate_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proxy:
    name: str
    port: int
    pid: int
    hosts: tuple[str, ...]
    ingress: HaproxyIngress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    microseconds: float
    rate: float
    failed: int


def measure(*, rounds: int = 5, seconds: int = 3) -> Cost:
    """Run the three proxies side by side and load them in turn."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(_upstream())
        many = stack.enter_context(_ours(500, upstream, _HOSTS))
        one = stack.enter_context(_ours(1, upstream, (0,)))
        bare = stack.enter_context(_bare(upstream))
        proxies = (many, one, bare)
        for proxy in proxies:
            _load(proxy, seconds=1)
        found = [tuple(_load(proxy, seconds=seconds) for proxy in proxies) for _ in range(rounds)]
    return Cost(
        many_microseconds=statistics.median(m.microseconds for m, _, _ in found),
        one_microseconds=statistics.median(o.microseconds for _, o, _ in found),
        bare_microseconds=statistics.median(b.microseconds for _, _, b in found),
        many_to_one=statistics.median(m.microseconds / o.microseconds for m, o, _ in found),
        work_to_bare=statistics.median(b.microseconds / m.microseconds for m, _, b in found),
        rate_to_bare=statistics.median(m.rate / b.rate for m, _, b in found),
        busy_percent=statistics.median(m.rate * m.microseconds / 1e4 for m, _, _ in found),
        rounds=rounds,
    )


def measure_changes(*, rounds: int = 5, seconds: int = 3, per_second: int = 5) -> ChangeCost:
    """Swap a server and a host of one of 500 routes while another is loaded, in turn with load alone."""
    ratios: list[float] = []
    failed = 0
    with _upstream() as upstream, _ours(500, upstream, (317,)) as proxy:
        assert proxy.ingress is not None
        waits, cpu = asyncio.run(_time_changes(proxy, upstream, 50))
        for _ in range(rounds):
            calm = _load(proxy, seconds=seconds)
            with _changing(proxy, upstream, per_second):
                busy = _load(proxy, seconds=seconds)
            ratios.append(busy.rate / calm.rate)
            failed += busy.failed
    return ChangeCost(
        apply_milliseconds=statistics.median(waits),
        proxy_milliseconds=cpu,
        failed=failed,
        rate_ratio=statistics.median(ratios),
    )


def _state(count: int, upstream: int, change: int = 0) -> IngressState:
    """`count` routes; the first has a server and a host that differ with each change."""
    routes = [
        Route(
            key=f"svc-{number}",
            hosts=(f"h{number}.test",),
            servers=(Server(name=f"r{number}", address="127.0.0.1", port=upstream),),
        )
        for number in range(count)
    ]
    if change:
        extra = Server(name=f"x{change}", address="127.0.0.1", port=upstream)
        routes[0] = Route(key="svc-0", hosts=("h0.test", f"x{change}.test"), servers=(*routes[0].servers, extra))
    return IngressState(routes=tuple(routes))


async def _time_changes(proxy: _Proxy, upstream: int, count: int) -> tuple[list[float], float]:
    assert proxy.ingress is not None
    waits: list[float] = []
    before = _cpu_seconds(proxy.pid)
    for change in range(1, count + 1):
        started = time.perf_counter()
        await proxy.ingress.apply(_state(500, upstream, change))
        waits.append((time.perf_counter() - started) * 1000)
    return waits, (_cpu_seconds(proxy.pid) - before) / count * 1000


@contextlib.contextmanager
def _changing(proxy: _Proxy, upstream: int, per_second: int) -> Iterator[None]:
    """Change the first route so many times a second, from a thread with a loop of its own, until the block ends."""
    ended = threading.Event()

    async def change() -> None:
        assert proxy.ingress is not None
        os.sched_setaffinity(threading.get_native_id(), {1})
        number = 1000
        while not ended.is_set():
            number += 1
            await proxy.ingress.apply(_state(500, upstream, number))
            await asyncio.to_thread(ended.wait, 1 / per_second)

    thread = threading.Thread(target=lambda: asyncio.run(change()))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _load(proxy: _Proxy, *, seconds: int) -> _Run:
    """The mean over the proxy's hosts of what one run of wrk finds."""
    runs = [_load_host(proxy, host, seconds=seconds) for host in proxy.hosts]
    return _Run(
        microseconds=statistics.mean(run.microseconds for run in runs),
        rate=statistics.mean(run.rate for run in runs),
        failed=sum(run.failed for run in runs),
    )


def _load_host(proxy: _Proxy, host: str, *, seconds: int) -> _Run:
    before = _cpu_seconds(proxy.pid)
    url = f"http://127.0.0.1:{proxy.port}/"
    output = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds}s", "-H", f"Host: {host}", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = _cpu_seconds(proxy.pid) - before
    done = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if done is None or rate is None:
        raise RuntimeError(f"cannot read what wrk says of {proxy.name}: {output}")
    errors = re.findall(r"(?:connect|read|write|timeout|Non-2xx or 3xx responses:?) (\d+)", output)
    return _Run(
        microseconds=spent / int(done[1]) * 1e6, rate=float(rate[1]), failed=sum(int(error) for error in errors)
    )


@contextlib.contextmanager
def _ours(count: int, upstream: int, numbers: Sequence[int]) -> Iterator[_Proxy]:
    with _folder() as folder:
        paths = HaproxyPaths(state=folder / "state", run=folder / "run")
        port = _free_port()
        settings = HaproxySettings(http_bind=f"127.0.0.1:{port}", https_bind="127.0.0.1:0", agent_port=9)
        ingress = HaproxyIngress(paths, settings, clock=SystemClock())
        asyncio.run(ingress.prepare())
        with _read_log(paths.access_log_socket), _process(paths.command(), core=0):
            pid = _worker(ingress)
            result = asyncio.run(ingress.apply(_state(count, upstream)))
            if result.failed or result.refused:
                raise RuntimeError(f"cannot set up {count} routes: {result}")
            hosts = tuple(f"h{number}.test" for number in numbers)
            yield _Proxy(name=f"{count} hosts", port=port, pid=pid, hosts=hosts, ingress=ingress)


@contextlib.contextmanager
def _bare(upstream: int) -> Iterator[_Proxy]:
    with _folder() as folder:
        port = _free_port()
        config = folder / "bare.cfg"
        config.write_text(_BARE.format(run=folder, port=port, upstream=upstream, options=SERVER_OPTIONS))
        with (
            _read_log(folder / "access.sock"),
            _process(("haproxy", "-db", "-f", str(config)), core=0) as pid,
        ):
            _wait_for(port)
            yield _Proxy(name="bare", port=port, pid=pid, hosts=("h0.test",))


@contextlib.contextmanager
def _upstream() -> Iterator[int]:
    with _folder() as folder:
        port = _free_port()
        config = folder / "upstream.cfg"
        config.write_text(_UPSTREAM.format(port=port))
        with _process(("haproxy", "-db", "-f", str(config)), core=1):
            _wait_for(port)
            yield port


@contextlib.contextmanager
def _process(command: Sequence[str], *, core: int) -> Iterator[int]:
    running = subprocess.Popen(
        ["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait()


@contextlib.contextmanager
def _read_log(path: Path) -> Iterator[None]:
    """Take the access log's datagrams off the socket, as the agent does, and throw them away."""
    ended = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(0.2)

        def drain() -> None:
            os.sched_setaffinity(threading.get_native_id(), {1})
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    receiver.recv(8192)

        thread = threading.Thread(target=drain)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hxb"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _worker(ingress: HaproxyIngress) -> int:
    for _ in range(200):
        with contextlib.suppress(IngressUnavailable):
            return asyncio.run(ingress.observe()).process.pid
        time.sleep(0.05)
    raise RuntimeError("cannot start HAProxy: its runtime socket does not answer")


def _wait_for(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"cannot start HAProxy: nothing listens on port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu_seconds(pid: int) -> float:
    """User and system time of the process; its name may hold spaces, so the fields count from the last bracket."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def main() -> None:
    """Measure with the goals' recipe and print them beside the goals."""
    cost = measure()
    print(
        f"500 hosts {cost.many_microseconds:.1f} us, one host {cost.one_microseconds:.1f} us, "
        f"bare {cost.bare_microseconds:.1f} us CPU per request ({cost.rounds} rounds)"
    )
    print(
        f"500 hosts to one: {cost.many_to_one:.3f} (goal <= 1.15); to bare: {cost.work_to_bare:.3f} by CPU, "
        f"{cost.rate_to_bare:.3f} by rate with core 0 busy to {cost.busy_percent:.0f} % (goal >= 0.85)"
    )
    changes = measure_changes()
    print(
        f"one change of 500: {changes.apply_milliseconds:.1f} ms until done, {changes.proxy_milliseconds:.2f} ms CPU "
        f"at the proxy (goal <= 2); at 5/s: {changes.failed} failed, {changes.rate_ratio:.3f}x the rate (goal >= 0.95)"
    )


if __name__ == "__main__":
    main()

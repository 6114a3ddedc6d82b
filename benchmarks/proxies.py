"""HAProxy under load: ours as the agent drives it, a bare one, and the upstream that both lead to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.core.faults import IngressUnavailable
from agent.host.haproxy.config import SERVER_OPTIONS, HaproxyPaths, HaproxySettings
from agent.host.haproxy.driver import HaproxyIngress
from agent.model.ingress import IngressState, Route, Server
from benchmarks.measure import (
    LOAD_CORE,
    SERVER_CORE,
    find_free_port,
    process,
    read_cpu_seconds,
    run_wrk,
    wait_for_port,
    wait_until,
)
from kit.clock import SystemClock

_CONNECTIONS: Final = 64

_UPSTREAM: Final = """
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

_BARE: Final = """
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
class Proxy:
    """A proxy that runs, with the hosts that are asked of it in turn."""

    port: int
    pid: int
    hosts: tuple[str, ...]
    ingress: HaproxyIngress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyLoad:
    """The mean over a proxy's hosts: its CPU per request in microseconds, requests per second, failures in all."""

    microseconds: float
    per_second: float
    failed: int

    @property
    def busy_percent(self) -> float:
        """How much of its core the proxy used; well below 100, the load generator was the limit."""
        return self.per_second * self.microseconds / 1e4


def load_proxy(proxy: Proxy, *, seconds: float) -> ProxyLoad:
    """Load each of the proxy's hosts for so long."""
    microseconds, rates, failed = 0.0, 0.0, 0
    for host in proxy.hosts:
        before = read_cpu_seconds(proxy.pid)
        load = run_wrk(
            f"http://127.0.0.1:{proxy.port}/", connections=_CONNECTIONS, seconds=seconds, headers={"Host": host}
        )
        microseconds += (read_cpu_seconds(proxy.pid) - before) / load.requests * 1e6
        rates += load.per_second
        failed += load.failed
    return ProxyLoad(microseconds=microseconds / len(proxy.hosts), per_second=rates / len(proxy.hosts), failed=failed)


def make_state(count: int, upstream: int, *, change: int = 0) -> IngressState:
    """`count` routes to the upstream; the first has a server and a host that differ with each change."""
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


@contextlib.contextmanager
def our_proxy(count: int, upstream: int, numbers: Sequence[int]) -> Iterator[Proxy]:
    """Our ingress with so many routes; the numbers name the hosts that are asked."""
    with _folder() as folder:
        paths = HaproxyPaths(state=folder / "state", run=folder / "run")
        port, https_port = find_free_port(), find_free_port()
        settings = HaproxySettings(http_bind=f"127.0.0.1:{port}", https_bind=f"127.0.0.1:{https_port}", agent_port=9)
        ingress = HaproxyIngress(paths, settings, clock=SystemClock())
        asyncio.run(ingress.prepare())
        with read_log(paths.access_log_socket), process(paths.command(), core=SERVER_CORE):
            pid = _await_worker(ingress)
            result = asyncio.run(ingress.apply(make_state(count, upstream)))
            if result.failed or result.refused:
                raise RuntimeError(f"cannot set up {count} routes: {result}")
            hosts = tuple(f"h{number}.test" for number in numbers)
            yield Proxy(port=port, pid=pid, hosts=hosts, ingress=ingress)


@contextlib.contextmanager
def bare_proxy(upstream: int) -> Iterator[Proxy]:
    """A proxy that leads every request to one backend and writes the same access log."""
    with _folder() as folder:
        port = find_free_port()
        config = folder / "bare.cfg"
        config.write_text(_BARE.format(run=folder, port=port, upstream=upstream, options=SERVER_OPTIONS))
        command = ("haproxy", "-db", "-f", str(config))
        with read_log(folder / "access.sock"), process(command, core=SERVER_CORE) as pid:
            wait_for_port(port)
            yield Proxy(port=port, pid=pid, hosts=("h0.test",))


@contextlib.contextmanager
def answering_upstream() -> Iterator[int]:
    """Another HAProxy that answers by itself, on the load core; its port."""
    with _folder() as folder:
        port = find_free_port()
        config = folder / "upstream.cfg"
        config.write_text(_UPSTREAM.format(port=port))
        with process(("haproxy", "-db", "-f", str(config)), core=LOAD_CORE):
            wait_for_port(port)
            yield port


@contextlib.contextmanager
def read_log(path: Path) -> Iterator[None]:
    """Take the access log's datagrams off the socket, as the agent does, and throw them away."""
    ended = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(0.2)

        def drain() -> None:
            os.sched_setaffinity(threading.get_native_id(), {LOAD_CORE})
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


def _await_worker(ingress: HaproxyIngress) -> int:
    found: list[int] = []

    def answers() -> bool:
        with contextlib.suppress(IngressUnavailable):
            found.append(asyncio.run(ingress.observe()).process.pid)
        return bool(found)

    wait_until(answers, what="HAProxy's runtime socket answers")
    return found[0]

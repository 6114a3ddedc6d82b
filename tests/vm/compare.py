"""Inside the test VM: what the agent's reader says of containers beside what the engine says at the same time.

    PYTHONPATH=ROOT python3 compare.py [IMAGE]

Each counter of the engine has to lie between the reader's readings right before and right after it. It prints a
Markdown table, and ends with 1 where a value lies outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.host.cgroup import CgroupReader
from agent.host.links import LinkCounters
from agent.model.metrics import Reading, Target
from kit.clock import SystemClock

_SOCKET: Final = "/var/run/docker.sock"
_PATIENCE_SECONDS: Final = 240.0
_LOADS: Final = {
    "busy": (["--cpus", "0.5", "-m", "64m", "--pids-limit", "50"], "while :; do :; done"),
    "memory": (["-m", "128m"], "head -c 25000000 /dev/zero | tail -c 20000000 | (sleep 600; wc -c)"),
    "disk": (
        ["-m", "128m"],
        "dd if=/dev/zero of=/f bs=65536 count=160 conv=fsync 2>/dev/null; sync; touch /ready; sleep 600",
    ),
    "network": ([], "mkdir /w; dd if=/dev/zero of=/w/f bs=65536 count=32 2>/dev/null; httpd -f -p 80 -h /w"),
}
"""Options and program of each container."""


class _Engine(http.client.HTTPConnection):
    def __init__(self) -> None:
        super().__init__("localhost")

    def connect(self) -> None:
        """Connect to the engine's socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(_SOCKET)

    def ask(self, path: str) -> Any:
        """What the engine answers."""
        self.request("GET", path)
        return json.loads(self.getresponse().read())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One value of one container: the engine's, and what the reader said around it; `most_off` forgives so much."""

    container: str
    value: str
    before: float
    engine: float
    after: float
    most_off: float = 0.0

    @property
    def fits(self) -> bool:
        """Whether the engine's value lies between."""
        low, high = sorted((self.before, self.after))
        return low * (1 - self.most_off) <= self.engine <= high * (1 + self.most_off)


def _sum_io(stats: Any, operation: str) -> int:
    entries = stats["blkio_stats"]["io_service_bytes_recursive"] or []
    return sum(each["value"] for each in entries if each["op"].lower() == operation)


def _compare(name: str, before: Reading, stats: Any, after: Reading) -> Iterator[_Line]:
    cpu, memory = stats["cpu_stats"], stats["memory_stats"]
    networks = (stats.get("networks") or {}).values()
    rows: list[tuple[str, Any, float, float]] = [
        ("CPU, μs", lambda each: each.cpu_usage_usec, cpu["cpu_usage"]["total_usage"] / 1000, 0),
        ("CPU in user mode, μs", lambda each: each.cpu_user_usec, cpu["cpu_usage"]["usage_in_usermode"] / 1000, 0),
        ("CPU in the kernel, μs", lambda each: each.cpu_system_usec, cpu["cpu_usage"]["usage_in_kernelmode"] / 1000, 0),
        ("throttled, μs", lambda each: each.cpu_throttled_usec, cpu["throttling_data"]["throttled_time"] / 1000, 0),
        ("memory, bytes", lambda each: each.memory_current_bytes, memory["usage"], 0.05),
        ("anonymous memory, bytes", lambda each: each.memory.anon_bytes, memory["stats"]["anon"], 0.05),
        ("file memory, bytes", lambda each: each.memory.file_bytes, memory["stats"]["file"], 0.05),
        ("processes and threads", lambda each: each.pids, stats["pids_stats"]["current"], 0),
        ("read, bytes", lambda each: sum(io.read_bytes for io in each.io or ()), _sum_io(stats, "read"), 0),
        ("written, bytes", lambda each: sum(io.written_bytes for io in each.io or ()), _sum_io(stats, "write"), 0),
        ("received, bytes", lambda each: each.network_received_bytes, sum(one["rx_bytes"] for one in networks), 0),
        ("sent, bytes", lambda each: each.network_sent_bytes, sum(one["tx_bytes"] for one in networks), 0),
    ]
    if before.memory.limit_bytes is not None:
        rows.append(("memory limit, bytes", lambda each: each.memory.limit_bytes, memory["limit"], 0))
    for value, read, engine, most_off in rows:
        first, last = read(before), read(after)
        yield _Line(
            container=name,
            value=value,
            before=float("nan") if first is None else first,
            engine=engine,
            after=float("nan") if last is None else last,
            most_off=most_off,
        )


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def _containers(image: str) -> Iterator[dict[str, Target]]:
    made: dict[str, str] = {}
    try:
        for name, (options, program) in _LOADS.items():
            made[name] = _docker("run", "-d", *options, image, "sh", "-c", program)
        yield {
            name: Target(container_id=each, pid=int(_docker("inspect", "-f", "{{.State.Pid}}", each)))
            for name, each in made.items()
        }
    finally:
        if made:
            _docker("rm", "-f", *made.values())


def _settle(targets: dict[str, Target]) -> None:
    """Return when the disk was written and the network has carried something."""
    address = _docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", targets["network"].container_id
    )
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for check in (
        ["docker", "exec", targets["disk"].container_id, "test", "-e", "/ready"],
        ["curl", "-sfo", "/dev/null", f"http://{address}/f"],
    ):
        while subprocess.run(check, check=False, capture_output=True).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(f"gave up on {' '.join(check)}")
            time.sleep(1)


async def _read(target: Target) -> Reading:
    """A reading by a fresh reader, since one that stays reads what memory is made of less often."""
    reader = CgroupReader(
        proc_dir=Path("/proc"), cgroup_dir=Path("/sys/fs/cgroup"), clock=SystemClock(), links=LinkCounters()
    )
    try:
        (reading,) = await reader.read([target])
        return reading
    finally:
        await reader.close()


def _show(lines: Sequence[_Line]) -> None:
    print("| container | value | reader before | engine | reader after | |")
    print("|---|---|---|---|---|---|")
    for each in lines:
        numbers = " | ".join(f"{value:.0f}" for value in (each.before, each.engine, each.after))
        print(f"| {each.container} | {each.value} | {numbers} | {'' if each.fits else 'OUTSIDE'} |")


async def _compare_all(image: str) -> list[_Line]:
    lines: list[_Line] = []
    with _containers(image) as targets:
        _settle(targets)
        engine = _Engine()
        for name, target in targets.items():
            path = f"/containers/{target.container_id}/stats?stream=false&one-shot=true"
            lines += _compare(name, await _read(target), engine.ask(path), await _read(target))
    return lines


def main(image: str = "busybox:test") -> int:
    """Compare, and return 1 when a value lies outside."""
    lines = asyncio.run(_compare_all(image))
    _show(lines)
    return int(any(not each.fits for each in lines))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""What every row needs of the machine: cores, CPU time, memory, processes, and load by wrk."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS_VENV: Final = ROOT / ".venv-peers"
PEERS_PYTHON: Final = python if (python := PEERS_VENV / "bin" / "python").exists() else Path(sys.executable)
"""The Python that has the packages of peers, which the project itself has no use for."""
SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one run of wrk met; `failed` counts broken connections and answers that are not 2xx or 3xx."""

    requests: int
    per_second: float
    failed: int


def read_cpu_seconds(pid: int) -> float:
    """User and system time that the process has used; its name may hold spaces, so fields count from the bracket."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def read_rss_bytes(pid: int) -> int:
    """Resident memory of the process, from `smaps_rollup`."""
    return _read_kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Rss")


def read_peak_rss_bytes(pid: int) -> int:
    """The most resident memory since `reset_peak_rss`, or since the process started."""
    return _read_kilobytes(Path(f"/proc/{pid}/status"), "VmHWM")


def reset_peak_rss(pid: int) -> None:
    """Let the peak count from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def pin(pid: int, core: int) -> None:
    """Keep every thread of a running process on the core; threads that it starts later follow."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """The command, kept on the core."""
    return ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def process(command: Sequence[str], *, core: int, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """A process on the core while the block runs; its process id. What it says is shown when it ends too early."""
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(
            on_core(core, command),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        )
        try:
            yield running.pid
        except BaseException:
            if running.poll() is not None:
                said.seek(0)
                print(said.read().decode(errors="replace")[-4000:])
            raise
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def find_free_port() -> int:
    """A TCP port on loopback that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Return once something listens there on loopback; TimeoutError after 20 s."""

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    wait_until(listens, what=f"something listens on port {port}")


def wait_until(condition: Callable[[], bool], *, what: str, seconds: float = _START_SECONDS) -> None:
    """Return once the condition holds; TimeoutError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up after {seconds:g} s waiting until {what}")
        time.sleep(0.02)


def run_wrk(url: str, *, connections: int, seconds: float, headers: Mapping[str, str] | None = None) -> Load:
    """Load the URL from the load core with one thread."""
    named = [part for name, value in (headers or {}).items() for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", *named, url]
    said = subprocess.run(on_core(LOAD_CORE, command), check=True, capture_output=True, text=True).stdout
    done = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if done is None or rate is None:
        raise RuntimeError(f"cannot read what wrk says: {said}")
    errors = re.findall(r"(?:connect|read|write|timeout|Non-2xx or 3xx responses:?) (\d+)", said)
    return Load(requests=int(done[1]), per_second=float(rate[1]), failed=sum(map(int, errors)))


def measure_request_cost(pid: int, url: str, *, headers: Mapping[str, str], seconds: float) -> float:
    """Microseconds of CPU that each request cost the server, asked over 32 connections."""
    before = read_cpu_seconds(pid)
    load = run_wrk(url, connections=32, seconds=seconds, headers=headers)
    if load.failed:
        raise RuntimeError(f"{load.failed} of {load.requests} requests failed")
    return (read_cpu_seconds(pid) - before) / load.requests * 1e6


def time_command(command: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command that succeeds, its children counted."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    seconds, after = time.perf_counter() - started, os.times()
    return seconds, sum(after[2:4]) - sum(before[2:4])


def _read_kilobytes(path: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"cannot find {name} in {path}")
    return int(found[1]) * 1024

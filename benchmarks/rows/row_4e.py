"""4e: how long a line takes from the container to a viewer, beside `docker logs -f`."""

from __future__ import annotations

import os
import select
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.logs import Talker, talking
from benchmarks.measure import LOAD_CORE, SERVER_CORE, on_core

_PAUSE_SECONDS = 0.03
_ANSWER_SECONDS = 10.0


def measure(effort: Effort) -> list[Finding]:
    """Lines by the stdin of an exec that writes into the container's log; each waits for the one before."""
    os.sched_setaffinity(0, {LOAD_CORE})
    lines = effort.pick(300, 20)
    with tempfile.TemporaryDirectory() as folder, talking(Path(folder)) as talker:
        found = interleave(
            {"ours": lambda: _time_ours(talker, lines), "docker": lambda: _time_docker(talker, lines)},
            rounds=effort.rounds,
        )
    return [
        Finding(
            goal="from the container's line to the viewer's, p50",
            limit=1.2,
            ours=tuple(found["ours"]),
            peer=tuple(found["docker"]),
            peer_name="`docker logs -f`",
            unit="us",
            note="ours goes through two daemons more",
        )
    ]


def _time_ours(talker: Talker, lines: int) -> float:
    port = talker.platform.ports.api
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            f"GET /v1/services/{talker.service_id}/logs/stream?tail=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: Bearer {talker.platform.token}\r\n\r\n".encode()
        )
        return _time(talker, connection.fileno(), lines)


def _time_docker(talker: Talker, lines: int) -> float:
    command = on_core(SERVER_CORE, ["docker", "logs", "-f", "--tail", "0", talker.container])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            return _time(talker, running.stdout.fileno(), lines)
        finally:
            running.kill()


def _time(talker: Talker, descriptor: int, lines: int) -> float:
    """Microseconds, the median."""
    command = ["docker", "exec", "-i", talker.container, "sh", "-c", "busybox cat > /proc/1/fd/1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as writer:
        assert writer.stdin is not None
        time.sleep(1.0)
        taken = []
        for number in range(lines):
            line = f"line-{number}-ends".encode()
            started = time.perf_counter()
            writer.stdin.write(line + b"\n")
            seen = b""
            while line not in seen:
                if not select.select([descriptor], [], [], _ANSWER_SECONDS)[0]:
                    raise TimeoutError("a line did not arrive")
                seen += os.read(descriptor, 65536)
            taken.append(time.perf_counter() - started)
            time.sleep(_PAUSE_SECONDS)
        writer.stdin.close()
    return statistics.median(taken) * 1e6


ROW = Row(
    id="4e",
    title="First-line latency p50: at most 1.2x `docker logs -f`",
    recipe="300 lines by attached stdin, one by one",
    measure=measure,
)

"""A running program of many nodes, and what a row asks of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import LOAD_CORE, ROOT, on_core


class Clients:
    """A running program of many nodes."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self.heartbeat_bytes = int(self._read().split()[1])

    def beat(self, seconds: float) -> int:
        """Beat in a closed loop for so long; how many heartbeats were answered."""
        return int(self._ask(f"{seconds:g}")[0])

    def pace(self, seconds: float, *, per_second: float) -> tuple[int, float]:
        """Beat at this pace for so long; how many were answered, and the milliseconds of the 99th of 100 answers."""
        answered, wait = self._ask(f"{seconds:g} {per_second:g}")
        return int(answered), float(wait)

    def _ask(self, line: str) -> list[str]:
        assert self._running.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which `_read` tells
            self._running.stdin.write(f"{line}\n")
            self._running.stdin.flush()
        return self._read().split()

    def _read(self) -> str:
        assert self._running.stdout is not None
        line = self._running.stdout.readline()
        if not line:
            raise RuntimeError("the nodes of the benchmark have ended: see above")
        return line


@contextlib.contextmanager
def connected_fleet(kind: str, port: int, count: int, identities: Path | None) -> Iterator[Clients]:
    """The program with so many nodes connected, on the load core; it ends with the block."""
    options = [] if identities is None else ["--identities", str(identities)]
    command = [sys.executable, "-m", "benchmarks.heartbeats", kind, str(port), str(count), *options]
    running = subprocess.Popen(
        on_core(LOAD_CORE, command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with running:
        try:
            yield Clients(running)
        finally:
            running.terminate()

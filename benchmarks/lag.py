"""How long a server's loop keeps others waiting: a health check asked over and over from a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Final

from benchmarks.measure import LOAD_CORE, ROOT, on_core

_PAUSE_SECONDS: Final = 0.005


class Lag:
    """A probe that runs; once ended it knows the longest wait."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self._longest: float | None = None

    def end(self) -> None:
        """End the probe and read what it found."""
        self._running.send_signal(signal.SIGTERM)
        said, _ = self._running.communicate(timeout=10)
        self._longest = float(said.split()[-1])

    def longest_milliseconds(self) -> float:
        """The longest that one health check took."""
        assert self._longest is not None
        return self._longest


@contextlib.contextmanager
def probing(port: int) -> Iterator[Lag]:
    """Ask while the block runs, from the load core and ahead of all else there."""
    command = [sys.executable, "-m", "benchmarks.lag", str(port)]
    running = subprocess.Popen(
        on_core(LOAD_CORE, command),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert running.stdout is not None
    running.stdout.readline()
    lag = Lag(running)
    try:
        yield lag
    finally:
        lag.end()


def _probe(port: int) -> None:
    ended = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -19)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    longest, warm = 0.0, 20
    while not ended:
        started = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        waited = time.perf_counter() - started
        if warm:
            warm -= 1
            if not warm:
                print("ready", flush=True)
        else:
            longest = max(longest, waited)
        time.sleep(_PAUSE_SECONDS)
    print(longest * 1000)


if __name__ == "__main__":
    _probe(int(sys.argv[1]))

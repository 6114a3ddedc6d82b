"""Logs for measurements: a service that writes what it is told to, and sinks in C that count what arrives."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import LOAD_CORE, SERVER_CORE, on_core, read_cpu_seconds
from benchmarks.platforms import local_image, make_service, running_platform
from tests.e2e.platform import Platform, docker

_SINK: Final = Path(__file__).resolve().parent / "peers" / "log_sink.c"
_LONG_LINE: Final = "0123456789abcdefghij" * 10
LARGE_LOG: Final = {"MOORAGE_AGENT_LOG_MAX_BYTES": str(1 << 30)}
"""So that the whole log of a row is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one viewer got: lines, lines that it was told are missing, and seconds from the first line to its last."""

    lines: int
    missed: int
    seconds: float


class Sink:
    """A running program that counts lines; it has to be closed."""

    def __init__(self, command: Sequence[str], *, feed: Sequence[str] | None = None) -> None:
        self._feed = None if feed is None else subprocess.Popen(feed, stdout=subprocess.PIPE)
        stdin = subprocess.DEVNULL if self._feed is None else self._feed.stdout
        self._process = subprocess.Popen(on_core(LOAD_CORE, command), stdin=stdin, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._said = self._process.stdout
        if self._said.readline() != "ready\n":
            raise RuntimeError("the sink was not answered")

    def counts(self) -> list[Count]:
        """What each viewer got, once all have had everything."""
        found = [line.split() for line in self._said]
        if self._process.wait() != 0:
            raise RuntimeError("lines did not arrive")
        return [Count(lines=int(lines), missed=int(missed), seconds=float(taken)) for lines, missed, taken in found]

    def close(self) -> None:
        """End it."""
        for process in (self._feed, self._process):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Talker:
    """A service with one replica on a platform of its own, and the compiled sink."""

    platform: Platform
    service_id: str
    container: str
    sink: Path

    def mark(self) -> str:
        """Let the replica write a line that no other is like; what is written from now on comes behind it."""
        word = f"mark-{time.monotonic_ns()}"
        docker("exec", self.container, "sh", "-c", f"echo {word} > /proc/1/fd/1")
        return word

    def cpu_seconds(self) -> float:
        """CPU time that both daemons have used."""
        return sum(read_cpu_seconds(self.platform.pid(program)) for program in ("agent", "controld"))

    def write(self, lines: int, *, long: bool = False) -> float:
        """Let the replica write so many lines as fast as it can; the seconds that this takes it."""
        program = f"busybox yes {_LONG_LINE} | busybox head -n {lines}" if long else f"busybox seq 1 {lines}"
        script = f"echo begun; {{ {program}; }} > /proc/1/fd/1; echo ended"
        command = ["docker", "exec", self.container, "sh", "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as running:
            assert running.stdout is not None
            moments = [time.perf_counter() for _ in running.stdout]
        if running.returncode != 0 or len(moments) != 2:
            raise RuntimeError("the replica did not write")
        return moments[1] - moments[0]

    @contextlib.contextmanager
    def watched(
        self, lines: int, *, query: str = "tail=1", mark: str | None = None, viewers: int = 1, stalled: int = 0
    ) -> Iterator[Sink]:
        """Viewers of the service's stream who count so many lines behind the mark, else behind one of this moment."""
        mark = self.mark() if mark is None else mark
        path = f"/v1/services/{self.service_id}/logs/stream?{query}"
        port, token = str(self.platform.ports.api), self.platform.token
        words = ["http", "127.0.0.1", port, path, token, str(lines), str(viewers), str(stalled), mark]
        with closing(Sink([str(self.sink), *words])) as sink:
            yield sink

    @contextlib.contextmanager
    def followed(self, lines: int, *options: str, mark: str | None = None) -> Iterator[Sink]:
        """`docker logs` with these options, counting lines behind the mark, else behind one of this moment."""
        mark = self.mark() if mark is None else mark
        feed = on_core(SERVER_CORE, ["docker", "logs", *options, self.container])
        with closing(Sink([str(self.sink), "pipe", str(lines), mark], feed=feed)) as sink:
            yield sink


@contextlib.contextmanager
def talking(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Talker]:
    """Such a service; everything is gone afterwards."""
    with local_image() as image, running_platform(environment) as platform:
        service_id = asyncio.run(make_service(platform, image, name="talking"))
        container = docker("ps", "-q", "--filter", f"label=moorage.service={service_id}").split()[0]
        yield Talker(platform=platform, service_id=service_id, container=container, sink=build_sink(folder))


def build_sink(folder: Path) -> Path:
    """The compiled program."""
    subprocess.run(["cc", "-O2", "-Wall", "-o", folder / "log_sink", _SINK], check=True)
    return folder / "log_sink"


@contextlib.contextmanager
def closing(sink: Sink) -> Iterator[Sink]:
    """The sink, ended in the end."""
    try:
        yield sink
    finally:
        sink.close()

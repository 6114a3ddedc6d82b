"""4c: the backlog of a log beside `docker logs`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.logs import LARGE_LOG, Sink, Talker, talking


def measure(effort: Effort) -> list[Finding]:
    """A log that is there whole, read from its first line to its last by each side."""
    lines = effort.pick(1_000_000, 20_000)
    with tempfile.TemporaryDirectory() as folder, talking(Path(folder), LARGE_LOG) as talker:
        mark = talker.mark()
        talker.write(lines)
        found = interleave(
            {"ours": lambda: _read_ours(talker, lines, mark), "docker": lambda: _read_docker(talker, lines, mark)},
            rounds=effort.rounds,
        )
    return [
        Finding(
            goal="lines of a backlog",
            limit=15.0,
            at_least=True,
            ours=tuple(rate for rate, _ in found["ours"]),
            peer=tuple(rate for rate, _ in found["docker"]),
            peer_name="`docker logs`",
            unit="lines/s",
        ),
        Finding(
            goal="CPU of both daemons for each line",
            limit=None,
            ours=tuple(cost for _, cost in found["ours"]),
            unit="us",
        ),
    ]


def _read_ours(talker: Talker, lines: int, mark: str) -> tuple[float, float]:
    with talker.watched(lines, query="since=2020-01-01T00:00:00Z", mark=mark) as sink:
        return _rate(talker, sink, lines)


def _read_docker(talker: Talker, lines: int, mark: str) -> tuple[float, float]:
    with talker.followed(lines, mark=mark) as sink:
        return _rate(talker, sink, lines)


def _rate(talker: Talker, sink: Sink, lines: int) -> tuple[float, float]:
    """Lines a second, and microseconds of our daemons' CPU for each."""
    before = talker.cpu_seconds()
    (count,) = sink.counts()
    if (count.lines, count.missed) != (lines, 0):
        raise RuntimeError(f"{lines} lines were written and {count} arrived")
    return lines / count.seconds, (talker.cpu_seconds() - before) / lines * 1e6


ROW = Row(
    id="4c",
    title="Backlog: at least 15x the lines a second of `docker logs`",
    recipe="1M lines of `seq` that were written before, through controld and as `docker logs` gives them",
    measure=measure,
)

"""4a: following one container to one viewer beside `docker logs -f`."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.logs import LARGE_LOG, Talker, talking


def measure(effort: Effort) -> list[Finding]:
    """Short lines and long ones; each side watches a burst of its own, and every line has to arrive."""
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder, talking(Path(folder), LARGE_LOG) as talker:
        for what, lines, long in (
            ("`seq`", effort.pick(500_000, 20_000), False),
            ("lines of 200 B", effort.pick(250_000, 10_000), True),
        ):
            found = interleave(
                {
                    "ours": partial(_follow_ours, talker, lines, long=long),
                    "docker": partial(_follow_docker, talker, lines, long=long),
                },
                rounds=effort.rounds,
            )
            findings += [
                Finding(
                    goal=f"lines that arrive, {what}",
                    limit=2.5,
                    at_least=True,
                    ours=tuple(rate for rate, _ in found["ours"]),
                    peer=tuple(rate for rate, _ in found["docker"]),
                    peer_name="`docker logs -f`",
                    unit="lines/s",
                    note="container, engine's file, agent, mutual TLS, controld, SSE; none is lost",
                ),
                Finding(
                    goal=f"CPU of both daemons for each line, {what}",
                    limit=None,
                    ours=tuple(cost for _, cost in found["ours"]),
                    unit="us",
                ),
            ]
    return findings


def _follow_ours(talker: Talker, lines: int, *, long: bool) -> tuple[float, float]:
    """Lines a second that reach a viewer, and microseconds of CPU for each; RuntimeError when one is lost."""
    before = talker.cpu_seconds()
    with talker.watched(lines) as sink:
        talker.write(lines, long=long)
        (count,) = sink.counts()
    if (count.lines, count.missed) != (lines, 0):
        raise RuntimeError(f"{lines} lines were written and {count} arrived")
    return lines / count.seconds, (talker.cpu_seconds() - before) / lines * 1e6


def _follow_docker(talker: Talker, lines: int, *, long: bool) -> tuple[float, float]:
    """Lines a second that `docker logs -f` gives; what it costs the engine is not told apart."""
    with talker.followed(lines, "-f", "--tail", "1") as sink:
        talker.write(lines, long=long)
        (count,) = sink.counts()
    return lines / count.seconds, 0.0


ROW = Row(
    id="4a",
    title="Following one container to one viewer: at least 2.5x the lines a second of `docker logs -f`, none lost",
    recipe="500,000 lines of `seq` and 250,000 of 200 B, in bursts; sinks in C count them; the log is not rotated",
    measure=measure,
)

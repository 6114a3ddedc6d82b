"""4b: what a container reaches while it is watched, beside what it reaches with nobody watching."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.logs import Talker, talking


def measure(effort: Effort) -> list[Finding]:
    """The time that the container takes to write, in turn with a viewer and without."""
    lines = effort.pick(500_000, 20_000)
    with tempfile.TemporaryDirectory() as folder, talking(Path(folder)) as talker:
        found = interleave(
            {"ours": lambda: _watched(talker, lines), "alone": lambda: lines / talker.write(lines)},
            rounds=effort.rounds,
        )
    return [
        Finding(
            goal="lines that the container writes while it is watched",
            limit=0.8,
            at_least=True,
            ours=tuple(found["ours"]),
            peer=tuple(found["alone"]),
            peer_name="with nobody watching",
            unit="lines/s",
        )
    ]


def _watched(talker: Talker, lines: int) -> float:
    with talker.watched(lines) as sink:
        taken = talker.write(lines)
        sink.counts()
    return lines / taken


ROW = Row(
    id="4b",
    title="A container that is watched writes at least 0.8x as fast as one that is not",
    recipe="500,000 lines of `seq`, with one viewer and with none",
    measure=measure,
)

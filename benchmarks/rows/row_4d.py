"""4d: fifty viewers of one log beside a loop that writes to fifty sockets, and what a stalled one costs the others."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.logs import Count, Sink, Talker, closing, talking
from benchmarks.measure import SERVER_CORE, on_core

_VIEWERS = 50


def measure(effort: Effort) -> list[Finding]:
    """Bursts to all viewers, with none of them stalled and with one, and as many framed lines by the loop."""
    lines = effort.pick(100_000, 5_000)
    with tempfile.TemporaryDirectory() as folder, talking(Path(folder)) as talker:
        found = interleave(
            {
                "ours": lambda: _watch(talker, lines, stalled=0),
                "stalled": lambda: _watch(talker, lines, stalled=1),
                "loop": lambda: _write_raw(talker.sink, lines),
            },
            rounds=effort.rounds,
        )
    return [
        Finding(
            goal=f"lines to each of {_VIEWERS} viewers",
            limit=0.8,
            at_least=True,
            ours=tuple(found["ours"]),
            peer=tuple(found["loop"]),
            peer_name=f"a loop that writes 64 KB of such frames to {_VIEWERS} sockets",
            unit="lines/s",
        ),
        Finding(
            goal="lines to each viewer while one more is stalled",
            limit=0.95,
            at_least=True,
            ours=tuple(found["stalled"]),
            peer=tuple(found["ours"]),
            peer_name="with none stalled",
            unit="lines/s",
            note="the stalled one is told how many lines it missed, and they add up",
        ),
    ]


def _watch(talker: Talker, lines: int, *, stalled: int) -> float:
    with talker.watched(lines, viewers=_VIEWERS + stalled, stalled=stalled) as sink:
        talker.write(lines)
        counts = sink.counts()
    if any(count.lines + count.missed != lines for count in counts) or any(each.missed for each in counts[stalled:]):
        raise RuntimeError(f"{lines} lines were written and {counts} arrived")
    return _rate(counts[stalled:], lines)


def _write_raw(program: Path, lines: int) -> float:
    command = [sys.executable, "-m", "benchmarks.peers.raw_fan_out", str(_VIEWERS), str(lines)]
    with subprocess.Popen(on_core(SERVER_CORE, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as loop:
        assert loop.stdin is not None
        assert loop.stdout is not None
        port = loop.stdout.readline().decode().strip()
        with closing(
            Sink([str(program), "raw", "127.0.0.1", port, "-", "-", str(lines), str(_VIEWERS), "0", "-"])
        ) as sink:
            loop.stdin.write(b"x")
            loop.stdin.flush()
            return _rate(sink.counts(), lines)


def _rate(counts: list[Count], lines: int) -> float:
    return lines / max(count.seconds for count in counts)


ROW = Row(
    id="4d",
    title="50 viewers: at least 0.8x of a raw loop to 50 sockets; a stalled one changes the others by at most 5 %",
    recipe="100,000 lines of `seq` in a burst; a counting sink in C holds all viewers",
    measure=measure,
)

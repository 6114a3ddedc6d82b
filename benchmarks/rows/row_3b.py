"""3b: a sweep of a hundred containers beside `docker stats --no-stream` of the same, the engine counted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from agent.model.metrics import Target
from agent.rules.rates import compute_usage
from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import read_cpu_seconds
from benchmarks.sweeps import find_engine, make_reader, running_containers

_CONTAINERS: Final = 100
_SWEEPS: Final = 200
_MILLISECONDS: Final = 1000


def measure(effort: Effort) -> list[Finding]:
    """Sweep, and ask the engine, in turn; each tells CPU and wall seconds of reading all containers once."""
    sweeps = effort.pick(_SWEEPS, 5)
    with running_containers(effort.pick(_CONTAINERS, 2)) as targets:
        reader, engine = make_reader(), find_engine()
        before = reader.sweep(targets)

        def sweep() -> tuple[float, float]:
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(sweeps):
                for old, new in zip(before, reader.sweep(targets), strict=True):
                    compute_usage(old, new, 1.0)
            return (time.process_time() - cpu) / sweeps, (time.perf_counter() - wall) / sweeps

        found = interleave({"ours": sweep, "peer": lambda: _ask_engine(targets, engine)}, rounds=effort.rounds)
        asyncio.run(reader.close())
    count, ours, peer = len(targets), found["ours"], found["peer"]
    note = "its CPU is that of the command and of dockerd, containerd's is not counted"
    return [
        Finding(
            goal=f"{what} of reading {count} containers once, 1/{least} at most",
            limit=1 / least,
            ours=tuple(each[which] * _MILLISECONDS for each in ours),
            peer=tuple(each[which] * _MILLISECONDS for each in peer),
            peer_name="`docker stats --no-stream`",
            unit="ms",
            note=note if which == 0 else "",
        )
        for which, what, least in ((0, "CPU", 100), (1, "time", 300))
    ]


def _ask_engine(targets: Sequence[Target], engine: int) -> tuple[float, float]:
    """CPU seconds of the command and of the engine, and wall seconds."""
    before, own, started = read_cpu_seconds(engine), os.times(), time.perf_counter()
    ids = [target.container_id for target in targets]
    subprocess.run(["docker", "stats", "--no-stream", *ids], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, os.times()
    return sum(after[2:4]) - sum(own[2:4]) + read_cpu_seconds(engine) - before, wall


ROW = Row(
    id="3b",
    title="The same sweep costs at most 1/100 of the CPU and 1/300 of the time of `docker stats --no-stream`",
    recipe="containers that sleep; the engine's process and the command are counted",
    measure=measure,
)

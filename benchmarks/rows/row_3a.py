"""3a: a sweep of a hundred containers beside a C loop that reads the same files."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from agent.rules.rates import compute_usage
from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.sweeps import build_loop, list_held, make_reader, run_loop, running_containers

_CONTAINERS: Final = 100
_SWEEPS: Final = 200
_MICROSECONDS: Final = 1_000_000


def measure(effort: Effort) -> list[Finding]:
    """Sweep on this thread, as the agent does on one of its own, and tell CPU for each container."""
    sweeps = effort.pick(_SWEEPS, 5)
    with running_containers(effort.pick(_CONTAINERS, 2)) as targets, tempfile.TemporaryDirectory() as folder:
        reader, program = make_reader(), build_loop(Path(folder))
        before = reader.sweep(targets)
        paths = list_held(targets)

        def sweep() -> float:
            started = time.process_time()
            for _ in range(sweeps):
                for old, new in zip(before, reader.sweep(targets), strict=True):
                    compute_usage(old, new, 1.0)
            return (time.process_time() - started) / sweeps

        found = interleave(
            {"ours": sweep, "peer": lambda: run_loop(program, paths, sweeps=sweeps)}, rounds=effort.rounds
        )
        asyncio.run(reader.close())
    scale = _MICROSECONDS / len(targets)
    return [
        Finding(
            goal=f"CPU of a sweep of {len(targets)} containers, for each",
            limit=2.5,
            ours=tuple(seconds * scale for seconds in found["ours"]),
            peer=tuple(seconds * scale for seconds in found["peer"]),
            peer_name="C loop on held descriptors",
            unit="us",
            note=f"{len(paths) / len(targets):g} files a container; ours reads the network by netlink besides",
        )
    ]


ROW = Row(
    id="3a",
    title="A sweep of 100 containers: at most 2.5x the CPU of a C loop with held descriptors",
    recipe="containers that sleep; the C program preads the same files and sums their numbers",
    measure=measure,
)

"""9c: controld at rest with ten nodes: its memory and its CPU."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.clients import connected_fleet
from benchmarks.fleet import write_fleet
from benchmarks.harness import Effort, Finding, Row
from benchmarks.measure import read_cpu_seconds, read_rss_bytes, wait_until
from benchmarks.platforms import fetch, running_platform
from tests.e2e.platform import Platform

_NODES: Final = 9
_BEAT_SECONDS: Final = 5.0
_MEGABYTE: Final = 1_000_000
_LIMIT: Final = 90.0


def measure(effort: Effort) -> list[Finding]:
    """Link nine more nodes with a platform of one and read; then the same of the next controld in its place."""
    seconds = effort.pick(60.0, 2.0)
    with running_platform() as platform, tempfile.TemporaryDirectory() as folder:
        write_fleet(Path(folder) / "fleet", controld=platform.places.controld, count=_NODES)
        first, _ = _rest(platform, Path(folder) / "fleet", seconds=effort.pick(20.0, 2.0), rounds=effort.rounds)
        before = platform.pid("controld")
        os.kill(before, signal.SIGTERM)
        wait_until(lambda: platform.pid("controld") not in {0, before}, what="controld is back", seconds=60)
        wait_until(lambda: _answers(platform), what="it answers")
        rss, shares = _rest(platform, Path(folder) / "fleet", seconds=seconds, rounds=effort.rounds)
    return [
        Finding(goal="RSS with 10 nodes, started again", limit=_LIMIT, ours=rss, unit="MB"),
        Finding(
            goal="RSS with 10 nodes after its first start",
            limit=_LIMIT,
            ours=first,
            unit="MB",
            note="it has made its database by Alembic, an administrator's password hash and a node's certificate",
        ),
        Finding(goal="CPU at rest with 10 nodes", limit=None, ours=shares, unit="% of a core"),
    ]


def _rest(
    platform: Platform, identities: Path, *, seconds: float, rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Megabytes and per cent of a core, in so many parts of the time, while the nodes beat and nothing else happens."""
    pid, sizes, shares = platform.pid("controld"), [], []
    with connected_fleet("links", platform.ports.node_side, _NODES, identities) as fleet:
        for _ in range(rounds):
            before, started = read_cpu_seconds(pid), time.perf_counter()
            fleet.pace(max(seconds / rounds, 1.0), per_second=_NODES / _BEAT_SECONDS)
            shares.append((read_cpu_seconds(pid) - before) / (time.perf_counter() - started) * 100)
            sizes.append(read_rss_bytes(pid) / _MEGABYTE)
    return tuple(sizes), tuple(shares)


def _answers(platform: Platform) -> bool:
    try:
        return bool(fetch(platform, "/v1/node"))
    except OSError:
        return False


ROW = Row(
    id="9c",
    title="controld at rest with 10 nodes: RSS at most 90 MB",
    recipe="a platform's node and nine links that beat every 5 s, `smaps_rollup` over 60 s",
    measure=measure,
)

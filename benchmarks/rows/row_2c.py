"""2c: writing what ten thousand nodes said beside a bare `executemany` of the same rows."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.fleet import make_node
from benchmarks.harness import Effort, Finding, Row
from benchmarks.heartbeats import make_report
from controld.core.reports import Reports
from controld.model.report import NodeReport
from controld.store.engine import Database
from controld.store.feed import Feed
from controld.store.node_reports import NodeReportStore
from controld.store.nodes import NodeStore
from kit.clock import SystemClock
from kit.lifecycle import settle_memory

_NODES: Final = 10_000
_BEAT_SECONDS: Final = 0.001
_SAVE: Final = (
    "INSERT INTO node_reports (node_id, heard_at, applied_digest, converged, report) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (node_id) DO UPDATE SET heard_at = excluded.heard_at, applied_digest = excluded.applied_digest, "
    "converged = excluded.converged, report = excluded.report"
)
_TOUCH: Final = "UPDATE nodes SET heard_at = ? WHERE id = ?"

_Row = tuple[str, int, str, int, bytes]
"""Of `node_reports`, as the statement has it."""


def measure(effort: Effort) -> list[Finding]:
    """Write every node's report through controld's own store, and the rows that this made by the bare driver."""
    count = effort.pick(_NODES, 200)
    with tempfile.TemporaryDirectory() as folder:
        ours, peer, stalls = uvloop.run(_measure(Path(folder), count, effort.rounds))
    return [
        Finding(
            goal=f"CPU of writing {count} nodes' reports in one transaction",
            limit=3.0,
            ours=ours,
            peer=peer,
            peer_name="`executemany` of the same rows by sqlite3",
            unit="ms",
            note="ours encodes them besides; a row of `node_reports` and the moment in `nodes` for each",
        ),
        Finding(
            goal="the loop's longest stall meanwhile",
            limit=20.0,
            ours=stalls,
            unit="ms",
            note="of a task that is due each millisecond, in the same process",
        ),
    ]


async def _measure(
    folder: Path, count: int, rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    clock = SystemClock()
    path = folder / "control.db"
    database = Database(f"sqlite+aiosqlite:///{path}", feed=Feed("benchmark"), clock=clock)
    await database.open()
    reports = Reports(database=database, store=NodeReportStore(), feed=database.feed, clock=clock)
    links: list[NodeReport] = []
    async with database.write() as tx:
        for number in range(count):
            node = make_node(f"0190{number:08x}-0000-7000-8000-000000000000"[-36:], number=number, now=clock.now())
            await NodeStore().add(tx, node)
            links.append(reports.start(node.id))
    settle_memory()
    ours, peer, stalls = [], [], []
    earlier: list[_Row] = []
    for turn in range(rounds + 2):
        for number, link in enumerate(links):
            reports.take(link, make_report(turn * count + number))
        cpu, stall = await _flush(reports)
        rows = await asyncio.to_thread(_read_rows, path)
        bare = await asyncio.to_thread(_write_bare, path, earlier) if earlier else 0.0
        earlier = rows
        if turn > 1:
            ours.append(cpu * 1000)
            stalls.append(stall * 1000)
            peer.append(bare * 1000)
    await database.close()
    return tuple(ours), tuple(peer), tuple(stalls)


async def _flush(reports: Reports) -> tuple[float, float]:
    """CPU seconds of this process, the store's threads included, and the longest that the loop kept a task waiting."""
    writing = asyncio.ensure_future(reports.flush())
    cpu, longest, last = time.process_time(), 0.0, time.perf_counter()
    while not writing.done():
        await asyncio.sleep(_BEAT_SECONDS)
        now = time.perf_counter()
        longest, last = max(longest, now - last - _BEAT_SECONDS), now
    await writing
    return time.process_time() - cpu, longest


def _read_rows(path: Path) -> list[_Row]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT node_id, heard_at, applied_digest, converged, report FROM node_reports"
        ).fetchall()


def _write_bare(path: Path, rows: list[_Row]) -> float:
    """CPU seconds of writing the rows, which are those of a flush before: SQLite leaves alone what stays the same."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        touched = [(row[1], row[0]) for row in rows]
        before = time.thread_time()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_SAVE, rows)
        connection.executemany(_TOUCH, touched)
        connection.execute("COMMIT")
        return time.thread_time() - before


ROW = Row(
    id="2c",
    title="Writing all 10,000 node rows at once: at most 3x a bare executemany, no stall over 20 ms",
    recipe="reports of 20 replicas whose host numbers changed, written by the store in one process with the loop",
    measure=measure,
)

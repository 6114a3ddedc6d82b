"""5b: safe unpacking of a build context beside `zstd -dc | tar x`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.archives import CORPUS_BYTES, CORPUS_FILES, build_corpus
from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.measure import time_command

_PLACES: Final = ((Path("/dev/shm"), "tmpfs", 1.5), (Path("/var/tmp"), "disk", 1.05))
_OURS: Final = """
import pathlib, sys
from kit.archive.extract import extract
extract(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""
_PEER: Final = 'mkdir "$1" && zstd -dcq "$0" | tar -x -C "$1"'


def measure(effort: Effort) -> list[Finding]:
    """Unpack on tmpfs and on disk, each time in fresh processes."""
    findings = []
    for place, name, limit in _PLACES:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            archive = Path(folder) / "corpus.tar.zst"
            build_corpus(
                archive, files=effort.pick(CORPUS_FILES, 200), total_bytes=effort.pick(CORPUS_BYTES, 4_000_000)
            )
            findings += _measure_place(archive, name, limit=limit, rounds=effort.rounds)
    return findings


def _measure_place(archive: Path, name: str, *, limit: float, rounds: int) -> list[Finding]:
    into = archive.parent / "into"
    sides = {
        "ours": lambda: _run([sys.executable, "-c", _OURS, str(archive), str(into)], into),
        "peer": lambda: _run(["sh", "-c", _PEER, str(archive), str(into)], into),
    }
    found = interleave(sides, rounds=rounds)
    peer_name = "zstd and tar"
    return [
        Finding(
            goal=f"time to unpack on {name}",
            limit=limit,
            ours=tuple(seconds for seconds, _ in found["ours"]),
            peer=tuple(seconds for seconds, _ in found["peer"]),
            peer_name=peer_name,
            unit="s",
        ),
        Finding(
            goal=f"CPU to unpack on {name}",
            limit=None,
            ours=tuple(cpu for _, cpu in found["ours"]),
            peer=tuple(cpu for _, cpu in found["peer"]),
            peer_name=peer_name,
            unit="s",
        ),
    ]


def _run(command: Sequence[str], into: Path) -> tuple[float, float]:
    try:
        return time_command(command)
    finally:
        shutil.rmtree(into, ignore_errors=True)


ROW = Row(
    id="5b",
    title="Safe streaming extract: at most 1.5x `zstd -dc | tar x` on tmpfs, 1.05x on disk",
    recipe="tar.zst of 240 MB in 10,000 files, fresh processes, not pinned: both sides use two cores",
    measure=measure,
)

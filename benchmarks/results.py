"""Results as JSON that programs read and as a table that people read; a row measured again replaces itself alone."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.harness import Finding, Row
from benchmarks.measure import ROOT

_JSON: Final = "latest.json"
_TABLE: Final = "latest.md"


class Machine(msgspec.Struct, kw_only=True, frozen=True):
    """Where and when a row was measured, with the load average before and after it."""

    cpu: str
    cores: int
    kernel: str
    python: str
    commit: str
    changed: bool
    """The working tree held changes that are in no commit."""
    measured_at: dt.datetime
    seconds: float
    load_before: float
    load_after: float


class FindingResult(msgspec.Struct, kw_only=True, frozen=True):
    """A finding with its verdict; `ours` and `peer` hold a value of each round in the unit."""

    goal: str
    limit: float | None
    at_least: bool
    measured: float
    verdict: str
    unit: str
    ours: tuple[float, ...]
    peer: tuple[float, ...]
    peer_name: str
    note: str


class RowResult(msgspec.Struct, kw_only=True, frozen=True):
    """A row that was measured."""

    title: str
    recipe: str
    quick: bool
    findings: tuple[FindingResult, ...]
    machine: Machine


def describe_machine(*, started_at: dt.datetime, seconds: float, load_before: float) -> Machine:
    """This machine now, and what the row took."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return Machine(
        cpu=model[1] if model else platform.machine(),
        cores=os.cpu_count() or 0,
        kernel=platform.release(),
        python=platform.python_version(),
        commit=_git("rev-parse", "--short=12", "HEAD"),
        changed=bool(_git("status", "--porcelain", "--untracked-files=no", "--", ":!benchmarks/results")),
        measured_at=started_at,
        seconds=round(seconds, 1),
        load_before=round(load_before, 2),
        load_after=round(os.getloadavg()[0], 2),
    )


def render_row(row: Row, findings: Sequence[Finding], machine: Machine, *, quick: bool) -> RowResult:
    """The row as it is kept."""
    return RowResult(
        title=row.title,
        recipe=row.recipe,
        quick=quick,
        findings=tuple(
            FindingResult(
                goal=one.goal,
                limit=one.limit,
                at_least=one.at_least,
                measured=_round(one.measured),
                verdict=one.verdict,
                unit=one.unit,
                ours=tuple(map(_round, one.ours)),
                peer=tuple(map(_round, one.peer)),
                peer_name=one.peer_name,
                note=one.note,
            )
            for one in findings
        ),
        machine=machine,
    )


def read_results(folder: Path) -> dict[str, RowResult]:
    """Rows by number, as an earlier run left them; empty when there was none."""
    try:
        return msgspec.json.decode((folder / _JSON).read_bytes(), type=dict[str, RowResult])
    except FileNotFoundError:
        return {}


def write_results(folder: Path, rows: Mapping[str, RowResult]) -> None:
    """Write both files, rows in order of their numbers."""
    ordered = {number: rows[number] for number in sorted(rows)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _JSON).write_bytes(msgspec.json.format(msgspec.json.encode(ordered)) + b"\n")
    (folder / _TABLE).write_text("# Latest results\n\n" + render_table(ordered))


def render_table(rows: Mapping[str, RowResult]) -> str:
    """A Markdown table with a line for each goal, and one for each row's machine below it."""
    lines = [
        "| row | goal | limit | measured | rounds | ours | peer | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for number, row in rows.items():
        lines += [_render_line(number, one) for one in row.findings]
    lines.append("")
    for number, row in rows.items():
        machine = row.machine
        lines.append(
            f"- {number}{' (quick)' if row.quick else ''}: {machine.measured_at:%Y-%m-%d %H:%M} UTC,"
            f" commit {machine.commit}{' with changes' if machine.changed else ''},"
            f" {machine.cores} cores of {machine.cpu}, Linux {machine.kernel}, Python {machine.python},"
            f" {machine.seconds:.0f} s, load average {machine.load_before:g} before and {machine.load_after:g} after"
        )
    notes = [(number, one) for number, row in rows.items() for one in row.findings if one.note]
    lines += ["", *(f"- {number}, {one.goal}: {one.note}" for number, one in notes)] if notes else []
    return "\n".join(lines) + "\n"


def _render_line(number: str, one: FindingResult) -> str:
    unit = "x" if one.peer else f" {one.unit}"
    pairs = zip(one.ours, one.peer, strict=True) if one.peer else ((value, 1.0) for value in one.ours)
    values = [ours / peer for ours, peer in pairs]
    limit = "" if one.limit is None else f"{'≥' if one.at_least else '≤'} {one.limit:g}{unit}"
    spread = f"{min(values):.3g} to {max(values):.3g} ({len(values)})"
    ours = f"{statistics.median(one.ours):.4g} {one.unit}"
    peer = f"{one.peer_name}: {statistics.median(one.peer):.4g} {one.unit}" if one.peer else ""
    return (
        f"| {number} | {one.goal} | {limit} | **{one.measured:.3g}{unit}** | {spread} | {ours} | {peer} |"
        f" {one.verdict} |"
    )


def _round(value: float) -> float:
    return float(f"{value:.5g}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"

"""The harness pairs its rounds, judges by the median, and its cheapest row still runs from end to end."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import Effort, Finding, Row, interleave
from benchmarks.results import describe_machine, read_results, render_row, render_table, write_results
from benchmarks.rows import ROWS
from kit.clock import SystemClock
from tests.house.tree import ROOT

FINDING = Finding(goal="time", limit=1.5, ours=(2.0, 9.0, 3.0), peer=(1.0, 10.0, 2.0), peer_name="peer", unit="s")


def test_rounds_alternate_the_order_of_the_sides_after_one_that_warms_up() -> None:
    turns: list[str] = []
    found = interleave({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=2)
    assert turns == ["a", "b", "a", "b", "b", "a"]
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 2}


def test_a_finding_with_a_peer_is_the_median_of_the_ratios_of_its_pairs() -> None:
    assert FINDING.values == (2.0, 0.9, 1.5)
    assert FINDING.measured == 1.5


@pytest.mark.parametrize(
    ("limit", "at_least", "verdict"),
    [
        (1.5, False, "met"),
        (1.4, False, "missed"),
        (1.5, True, "met"),
        (1.6, True, "missed"),
        (None, False, "told"),
    ],
)
def test_a_limit_is_met_when_it_is_reached_and_missed_beyond_it(
    limit: float | None, at_least: bool, verdict: str
) -> None:
    assert dataclasses.replace(FINDING, limit=limit, at_least=at_least).verdict == verdict


def test_a_row_measured_again_replaces_itself_and_leaves_the_others(tmp_path: Path) -> None:
    row = Row(id="9z", title="A title", recipe="A recipe", measure=lambda _: [FINDING])
    machine = describe_machine(started_at=SystemClock().now(), seconds=1.0, load_before=0.0)
    first = render_row(row, [FINDING], machine, quick=False)
    write_results(tmp_path, {"9z": first, "1a": first})
    again = render_row(row, [dataclasses.replace(FINDING, limit=1.0)], machine, quick=False)
    write_results(tmp_path, {**read_results(tmp_path), "9z": again})
    assert read_results(tmp_path) == {"1a": first, "9z": again}
    assert "| 9z | time | ≤ 1x | **1.5x** | 0.9 to 2 (3) | 3 s | peer: 2 s | missed |" in render_table({"9z": again})


def test_every_row_says_what_it_measures_under_its_own_number() -> None:
    assert list(ROWS) == sorted(ROWS)
    assert all(row.id == number and row.title and row.recipe for number, row in ROWS.items())


def test_a_row_runs_from_the_command_to_its_results(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(tmp_path), "5b"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout in (tmp_path / "latest.md").read_text()
    (result,) = read_results(tmp_path).values()
    assert result.quick
    assert {one.verdict for one in result.findings} <= {"met", "missed", "told"}
    assert {one.goal for one in result.findings if one.limit} == {"time to unpack on tmpfs", "time to unpack on disk"}
    assert Effort(quick=True).rounds == 1

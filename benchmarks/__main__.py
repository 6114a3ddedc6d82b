"""Measure rows of the goals, print a table of goal, measured value and verdict, and keep both as files.

Without names every row is measured. The exit status is 1 when a row could not be measured; a goal that is missed is
a result, not a failure.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Final

from benchmarks.harness import Effort, Row
from benchmarks.measure import ROOT
from benchmarks.results import RowResult, describe_machine, read_results, render_row, render_table, write_results
from benchmarks.rows import ROWS

_RESULTS: Final = ROOT / "benchmarks" / "results"


def main() -> int:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="one short round of each: shows that rows still run")
    parser.add_argument("--output", type=Path, help="folder of the results (default: benchmarks/results; quick: none)")
    asked = parser.parse_args()
    if unknown := set(asked.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if (os.cpu_count() or 1) < 2:
        parser.error("the benchmarks need two cores: one for the server, one for the load")
    for program in ("taskset", "wrk", "haproxy", "nginx", "zstd", "curl"):
        if shutil.which(program) is None:
            parser.error(f"{program} is not installed: scripts/bench installs it")
    output = asked.output or (None if asked.quick else _RESULTS)
    measured: dict[str, RowResult] = {}
    failed = []
    for number in asked.rows or ROWS:
        try:
            measured[number] = _measure(ROWS[number], Effort(quick=asked.quick))
        except Exception:  # noqa: BLE001 - one row that cannot be measured does not take the others with it
            traceback.print_exc()
            failed.append(number)
        else:
            print(render_table({number: measured[number]}), file=sys.stderr, flush=True)
            if output is not None:
                write_results(output, {**read_results(output), number: measured[number]})
    print(render_table(measured), end="")
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure(row: Row, effort: Effort) -> RowResult:
    print(f"==> {row.id}: {row.title}", file=sys.stderr, flush=True)
    started_at, load_before, started = dt.datetime.now(dt.UTC), os.getloadavg()[0], time.monotonic()
    findings = row.measure(effort)
    machine = describe_machine(started_at=started_at, seconds=time.monotonic() - started, load_before=load_before)
    return render_row(row, findings, machine, quick=effort.quick)


if __name__ == "__main__":
    sys.exit(main())

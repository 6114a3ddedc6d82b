"""How findings are shown: a table for people, JSON for programs, and an exit status for both."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from kit.doctor.findings import Finding, Verdict

_COLOURS: Final = {Verdict.OK: "32", Verdict.WARN: "33", Verdict.FAIL: "31", Verdict.UNKNOWN: "36"}
_FOLLOWS: Final = " " * 9


def render_text(findings: Sequence[Finding], *, colours: bool) -> str:
    """A line for each finding with what it means and how to mend it below, and a sum at the end."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, width=width, colours=colours)]
    counts = [f"{_count(findings, verdict)} {verdict.value}" for verdict in Verdict if _count(findings, verdict)]
    return "\n".join([*lines, "", ", ".join(counts) or "nothing was looked at", ""])


def render_json(findings: Sequence[Finding]) -> str:
    """An object with the findings and `healthy`, which is false when one fails."""
    shown = [
        {
            "check": finding.check,
            "verdict": finding.verdict.value,
            "found": finding.found,
            "means": finding.means,
            "mend": finding.mend,
        }
        for finding in findings
    ]
    return json.dumps({"healthy": exit_status(findings) == 0, "findings": shown}, indent=2) + "\n"


def show(findings: Sequence[Finding], *, as_json: bool) -> int:
    """Print them, in colour on a terminal, and return the exit status."""
    sys.stdout.write(render_json(findings) if as_json else render_text(findings, colours=sys.stdout.isatty()))
    return exit_status(findings)


def exit_status(findings: Sequence[Finding]) -> int:
    """1 when a check failed, else 0."""
    return int(_count(findings, Verdict.FAIL) > 0)


def _count(findings: Sequence[Finding], verdict: Verdict) -> int:
    return sum(finding.verdict is verdict for finding in findings)


def _lines(finding: Finding, *, width: int, colours: bool) -> Iterator[str]:
    word = f"{finding.verdict.value:<7}"
    if colours:
        word = f"\x1b[{_COLOURS[finding.verdict]}m{word}\x1b[0m"
    yield f"{word}  {finding.check:<{width}}  {finding.found}"
    if finding.means:
        yield f"{_FOLLOWS}{finding.means}"
    if finding.mend:
        yield f"{_FOLLOWS}to mend: {finding.mend}"

"""Checks run at once, each within its deadline, and what cannot be looked at is said to be so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from kit.doctor.findings import Check, Finding, Verdict, examine, ok
from kit.doctor.report import exit_status, render_json, render_text
from kit.faults import Unavailable


def _check(name: str, *, error: Exception | None = None, seconds: float = 0.0) -> Check:
    async def look() -> Sequence[Finding]:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error
        return [ok(name, "fine")]

    return Check(name=name, look=look)


async def test_a_check_that_hangs_ends_at_its_deadline_and_the_others_answer() -> None:
    findings = await examine([_check("slow", seconds=30), _check("quick")], deadline_seconds=0.05)
    assert [(finding.check, finding.verdict) for finding in findings] == [
        ("slow", Verdict.UNKNOWN),
        ("quick", Verdict.OK),
    ]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (PermissionError(13, "denied", "/etc/secret"), "/etc/secret"),
        (FileNotFoundError(2, "no such file", "/x"), "/x"),
        (Unavailable("cannot reach it"), "cannot reach it"),
    ],
)
async def test_what_cannot_be_looked_at_is_unknown_with_a_word(error: Exception, word: str) -> None:
    (finding,) = await examine([_check("it", error=error)], deadline_seconds=1)
    assert finding.verdict is Verdict.UNKNOWN
    assert word in finding.found


def test_the_status_is_one_only_for_failures() -> None:
    warned = Finding(check="a", verdict=Verdict.WARN, found="low")
    failed = Finding(check="b", verdict=Verdict.FAIL, found="gone", means="nothing works", mend="put it back")
    assert exit_status([warned]) == 0
    assert exit_status([warned, failed]) == 1
    assert json.loads(render_json([warned, failed]))["healthy"] is False


def test_a_table_tells_what_it_means_and_how_to_mend_it_and_ends_with_the_sum() -> None:
    failed = Finding(check="b", verdict=Verdict.FAIL, found="gone", means="nothing works", mend="put it back")
    text = render_text([ok("aa", "fine"), failed], colours=False)
    assert text.splitlines() == [
        "ok       aa  fine",
        "fail     b   gone",
        "         nothing works",
        "         to mend: put it back",
        "",
        "1 ok, 1 fail",
    ]
    assert "\x1b[31mfail" in render_text([failed], colours=True)

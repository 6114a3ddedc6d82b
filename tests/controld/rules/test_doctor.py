"""Facts of the control daemon are judged: schema, damage, nodes and secrets."""

from __future__ import annotations

import datetime as dt

import pytest

from controld.rules.doctor import judge_damage, judge_issuer, judge_nodes, judge_schema, judge_secrets
from kit.doctor.findings import Verdict

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("revision", "verdict"),
    [(None, Verdict.OK), ("0008", Verdict.OK), ("0003", Verdict.WARN), ("0009", Verdict.FAIL)],
)
def test_a_schema_is_told_against_what_the_release_needs(revision: str | None, verdict: Verdict) -> None:
    assert judge_schema(revision=revision, head="0008").verdict is verdict


def test_damage_fails_with_what_was_found() -> None:
    assert judge_damage(None).verdict is Verdict.OK
    assert "row 3 missing" in judge_damage("row 3 missing from index").found


def test_an_authority_that_does_not_answer_fails_with_the_reason_and_a_way_to_see() -> None:
    assert judge_issuer("https://ca.test/dir", fault=None).verdict is Verdict.OK
    finding = judge_issuer("https://ca.test/dir", fault="the authority does not answer as one: refused")
    assert finding.verdict is Verdict.FAIL
    assert finding.found == "https://ca.test/dir: the authority does not answer as one: refused"
    assert "see what stands between: curl -v https://ca.test/dir" in str(finding.mend)


def test_a_lost_node_fails_while_controld_runs_and_says_when_it_was_heard() -> None:
    heard = [("one", "ready", NOW), ("two", "lost", NOW - dt.timedelta(seconds=90)), ("three", "joining", None)]
    running = judge_nodes(heard, now=NOW, running=True)
    assert [finding.verdict for finding in running] == [Verdict.OK, Verdict.FAIL, Verdict.WARN]
    assert "90 s ago" in running[1].found
    assert "never heard" in running[2].found
    assert {finding.verdict for finding in judge_nodes(heard, now=NOW, running=False)} == {Verdict.OK}


def test_secrets_that_do_not_open_are_counted_and_one_is_named() -> None:
    assert judge_secrets({}, count=3).verdict is Verdict.OK
    finding = judge_secrets({"p/registry-1": "no key of ours"}, count=3)
    assert finding.verdict is Verdict.FAIL
    assert "1 of 3" in finding.found
    assert "p/registry-1" in finding.found

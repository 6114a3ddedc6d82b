"""What facts of the control daemon mean to somebody who asks why it does not work: schema, damage, nodes, secrets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from kit.doctor.findings import Finding, Verdict, ok


def judge_schema(*, revision: str | None, head: str) -> Finding:
    """Compares the schema of the database with what this release needs; revisions are numbers as text."""
    if revision is None:
        return ok("database", "no schema yet: the first start makes it")
    if revision == head:
        return ok("database", f"schema {revision}, what this release needs")
    if revision < head:
        return Finding(
            check="database",
            verdict=Verdict.WARN,
            found=f"schema {revision}, this release needs {head}",
            means="the next start brings it forward, a copy of a SQLite file being put aside first",
            mend="restart controld: systemctl restart moorage-controld",
        )
    return Finding(
        check="database",
        verdict=Verdict.FAIL,
        found=f"schema {revision}, newer than this release's {head}",
        means="this release does not start on it",
        mend="start the newer release, or restore the copy put aside before it migrated",
    )


def judge_issuer(url: str, *, fault: str | None) -> Finding:
    """From an ask for the directory of the authority that issues certificates; `fault` is why it gave none."""
    if fault is None:
        return ok("certificate authority", f"{url} answers")
    return Finding(
        check="certificate authority",
        verdict=Verdict.FAIL,
        found=f"{url}: {fault}",
        means="no certificate of a hostname is made or renewed; those that are there go on until they run out",
        mend=f"see what stands between: curl -v {url}; acme_directory_url and acme_ca_file name the authority",
    )


def judge_damage(damage: str | None) -> Finding:
    """From the quick check of a SQLite file."""
    if damage is None:
        return ok("database file", "sound")
    return Finding(
        check="database file",
        verdict=Verdict.FAIL,
        found=f"damaged: {damage}",
        means="reads and writes fail or are wrong",
        mend="stop controld, keep a copy of the file, and restore a backup",
    )


def judge_nodes(
    heard: Sequence[tuple[str, str, dt.datetime | None]], *, now: dt.datetime, running: bool
) -> list[Finding]:
    """For each node's name, state and when it was last heard; silence counts only while controld runs."""
    if not heard:
        return [ok("nodes", "none enrolled yet")]
    return [_judge_node(name, state, at, now=now, running=running) for name, state, at in heard]


def _judge_node(name: str, state: str, at: dt.datetime | None, *, now: dt.datetime, running: bool) -> Finding:
    check = f"node {name}"
    found = (
        f"{state}, never heard" if at is None else f"{state}, heard {max(0.0, (now - at).total_seconds()):.0f} s ago"
    )
    if not running or state not in {"lost", "suspect", "joining"}:
        return ok(check, found)
    return Finding(
        check=check,
        verdict=Verdict.FAIL if state == "lost" else Verdict.WARN,
        found=found,
        means="controld does not know what runs there",
        mend="on that machine: moorage-agent doctor --config /etc/moorage/agent.toml",
    )


def judge_secrets(unreadable: Mapping[str, str], *, count: int) -> Finding:
    """`unreadable` maps the names of secrets that do not open to why; `count` is how many there are."""
    if not unreadable:
        return ok("secrets", f"{count} open with the age key")
    name, why = next(iter(unreadable.items()))
    return Finding(
        check="secrets",
        verdict=Verdict.FAIL,
        found=f"{len(unreadable)} of {count} do not open, {name}: {why}",
        means="pulls, clones or certificates that need them fail",
        mend="put back the age key that they were written for (age_key_file), or set them anew",
    )

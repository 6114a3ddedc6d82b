"""The ring of recent requests."""

from __future__ import annotations

import datetime as dt

from agent.core.requests import RecentRequests
from agent.model.requests import AccessEntry


def entry(route: str, path: str) -> AccessEntry:
    return AccessEntry(
        route=route,
        host="a.test",
        replica="r1",
        method="GET",
        path=path,
        status=200,
        bytes=1,
        duration_ms=1,
        recorded_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        termination="--",
    )


def test_a_route_keeps_its_last_entries_newest_first() -> None:
    recent = RecentRequests(limit=2)
    for path in ("/1", "/2", "/3"):
        recent.add(entry("svc-1", path))
    recent.add(entry("svc-2", "/other"))
    assert [kept.path for kept in recent.list("svc-1")] == ["/3", "/2"]


def test_a_route_that_is_gone_is_forgotten() -> None:
    recent = RecentRequests()
    recent.add(entry("svc-1", "/"))
    recent.add(entry("svc-2", "/"))
    recent.keep(["svc-2"])
    assert recent.list("svc-1") == ()
    assert len(recent.list("svc-2")) == 1

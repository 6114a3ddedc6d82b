"""Which manifests have outlived their use."""

from __future__ import annotations

import datetime as dt

import pytest

from controld.model.registry import HeldManifest
from controld.rules.registry_retention import find_stale, is_tag_of_a_build

_NOW = dt.datetime(2026, 1, 8, tzinfo=dt.UTC)
_OLD, _YOUNG = _NOW - dt.timedelta(days=1), _NOW + dt.timedelta(days=1)


def _held(
    digest: str, *children: str, subject: str | None = None, needed: bool = False, at: dt.datetime = _OLD
) -> HeldManifest:
    return HeldManifest(digest=digest, subject=subject, children=frozenset(children), is_needed=needed, touched_at=at)


@pytest.mark.parametrize(
    ("held", "stale"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param([_held("a")], "a", id="old and not needed"),
        pytest.param([_held("a", needed=True)], "", id="needed"),
        pytest.param([_held("a", at=_YOUNG)], "", id="young"),
        pytest.param([_held("a", at=_NOW)], "", id="as old as the limit"),
        pytest.param(
            [_held("a", "b", "layer", needed=True), _held("b", "c"), _held("c")], "", id="below a needed index"
        ),
        pytest.param([_held("a", "b"), _held("b")], "ab", id="below an index that goes"),
        pytest.param([_held("a", "b"), _held("b", needed=True)], "a", id="above a needed one"),
        pytest.param([_held("a", needed=True), _held("s", subject="a")], "", id="a signature of what stays"),
        pytest.param([_held("a"), _held("s", subject="a")], "as", id="a signature of what goes"),
        pytest.param([_held("s", subject="absent")], "s", id="an old signature of nothing"),
        pytest.param([_held("s", subject="absent", at=_YOUNG)], "", id="a young signature of nothing"),
        pytest.param(
            [_held("a", needed=True), _held("s", subject="a"), _held("t", subject="s")], "", id="countersigned"
        ),
        pytest.param([_held("a", "b", subject="b"), _held("b", "a", subject="a")], "ab", id="in a circle"),
    ],
)
def test_what_may_go(held: list[HeldManifest], stale: str) -> None:
    assert find_stale(held, before=_NOW) == frozenset(stale)


@pytest.mark.parametrize(
    ("tag", "is_one"), [("deployment-1", True), ("deployment-", False), ("deployment-1a", False), ("latest", False)]
)
def test_tags_that_builds_leave(tag: str, is_one: bool) -> None:
    assert is_tag_of_a_build(tag) is is_one

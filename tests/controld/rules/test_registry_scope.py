"""What tokens of the registry may be used for."""

from __future__ import annotations

import pytest

from controld.model.registry import Scope
from controld.rules.registry_scope import covers, needed_scopes, parse_scopes, render_scopes, repositories_to_pull


def _scope(name: str, *actions: str, kind: str = "repository") -> Scope:
    return Scope(kind=kind, name=name, actions=frozenset(actions))


@pytest.mark.parametrize(
    ("texts", "scopes"),
    [
        (["repository:shop/web:pull,push"], (_scope("shop/web", "pull", "push"),)),
        (["repository:a/b:pull repository:c/d:*"], (_scope("a/b", "pull"), _scope("c/d", "*"))),
        (
            ["repository:a/b:pull", "registry:catalog:*"],
            (_scope("a/b", "pull"), _scope("catalog", "*", kind="registry")),
        ),
        (["repository(plugin):a/b:pull"], (_scope("a/b", "pull"),)),
        (["repository:host:5000/a/b:pull"], (_scope("host:5000/a/b", "pull"),)),
        (["repository:a/b:"], (_scope("a/b"),)),
        (["repository:a/b", "nothing", ":", ""], ()),
        (["repository:a/b:pull"] * 40, (_scope("a/b", "pull"),) * 32),
    ],
)
def test_scopes_are_read(texts: list[str], scopes: tuple[Scope, ...]) -> None:
    assert parse_scopes(texts) == scopes


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/v2/", ""),
        ("GET", "/v2/token", ""),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("GET", "/v2/shop/web/manifests/v1", "repository:shop/web:pull"),
        ("HEAD", "/v2/shop/web/blobs/sha256:0", "repository:shop/web:pull"),
        ("GET", "/v2/shop/web/blobs/uploads/1", "repository:shop/web:pull,push"),
        ("POST", "/v2/shop/web/blobs/uploads/", "repository:shop/web:pull,push"),
        ("DELETE", "/v2/shop/web/manifests/v1", "repository:shop/web:pull,push"),
        ("GET", "/v2/sh%6Fp/web/tags/list", "repository:shop/web:pull"),
        ("GET", "/v2/shop/web/referrers/sha256:0", "repository:shop/web:pull"),
        ("GET", "/v2/shop%22/web%0d%0aX:1/tags/list", ""),
    ],
)
def test_what_a_request_needs(method: str, path: str, needed: str) -> None:
    assert render_scopes(needed_scopes(method, path)) == needed


def test_a_mount_needs_to_pull_from_its_source_too() -> None:
    path = "/v2/shop/web/blobs/uploads/"
    both = "repository:shop/web:pull,push repository:mill/web:pull"
    assert render_scopes(needed_scopes("POST", path, source="mill/web")) == both
    for source in ("shop/web", 'a/b"', "nothing"):
        assert render_scopes(needed_scopes("POST", path, source=source)) == "repository:shop/web:pull,push"


@pytest.mark.parametrize(
    ("granted", "needed", "is_covered"),
    [
        ("repository:a/b:pull,push", "repository:a/b:pull", True),
        ("repository:a/b:pull repository:a/b:push", "repository:a/b:pull,push", True),
        ("repository:a/b:*", "repository:a/b:pull,push", True),
        ("repository:a/b:pull", "repository:a/b:pull,push", False),
        ("repository:a/c:pull", "repository:a/b:pull", False),
        ("registry:a/b:pull", "repository:a/b:pull", False),
        ("", "repository:a/b:pull", False),
        ("registry:catalog:*", "registry:catalog:*", True),
    ],
)
def test_whether_scopes_cover_a_need(granted: str, needed: str, is_covered: bool) -> None:
    assert covers(parse_scopes([granted]), parse_scopes([needed])) is is_covered


def test_blobs_come_from_repositories_that_may_be_pulled_from() -> None:
    scopes = parse_scopes(["repository:a/b:pull repository:c/d:push repository:e/f:* registry:catalog:*"])
    assert repositories_to_pull(scopes) == {"a/b", "e/f"}

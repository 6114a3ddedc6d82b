"""The longest claim decides whose words answer, then the table decides the route."""

from __future__ import annotations

import pytest

from kit.http.routing import Routing
from kit.http.surface import Ask, Route
from tests.kit.http.plain import surface


async def _handler(_: Ask) -> None:
    return None


def _get(path: str, *, method: str = "GET", aliases: tuple[str, ...] = ()) -> Route:
    return Route(method=method, path=path, access="any", handler=_handler, summary="x", aliases=aliases)


def _found(routing: Routing, path: str, method: str = "GET") -> tuple[str, dict[str, str]] | None:
    found = routing.find(path)
    if found is None:
        return None
    bound = found[0].methods[method]
    return bound.route.path, dict(zip(bound.names, found[1], strict=True))


def test_the_longest_claim_that_covers_a_path_owns_it() -> None:
    native = surface(claim="/v1")
    apps = surface(claim="/v1/apps")
    shell = surface(claim="/")
    routing = Routing([native, apps, shell])
    owners = {
        path: routing.surface_of(path) for path in ("/v1", "/v1/x", "/v1/apps", "/v1/apps/1", "/v1/appsy", "/v12", "/")
    }
    assert owners == {
        "/v1": native,
        "/v1/x": native,
        "/v1/apps": apps,
        "/v1/apps/1": apps,
        "/v1/appsy": native,
        "/v12": shell,
        "/": shell,
    }


def test_a_path_that_nobody_claims_has_no_owner() -> None:
    assert Routing([surface(claim="/v1")]).surface_of("/v2") is None


def test_escaped_letters_and_slashes_do_not_move_a_path_to_another_surface() -> None:
    native, apps = surface(claim="/v1"), surface(claim="/v1/apps")
    routing = Routing([native, apps])
    assert routing.surface_of("/v1/%61pps/1") is apps
    assert routing.surface_of("/v1/apps%2F1") is native


def test_a_fixed_segment_wins_over_a_parameter() -> None:
    routing = Routing([surface(_get("/plain/{name}"), _get("/plain/all"))])
    assert _found(routing, "/plain/all") == ("/plain/all", {})
    assert _found(routing, "/plain/some") == ("/plain/{name}", {"name": "some"})


def test_a_fixed_segment_that_leads_nowhere_gives_way_to_the_parameter() -> None:
    routing = Routing([surface(_get("/plain/all/{page}/x"), _get("/plain/{name}/{page}"))])
    assert _found(routing, "/plain/all/2") == ("/plain/{name}/{page}", {"name": "all", "page": "2"})


def test_parameters_are_decoded_after_the_path_is_split() -> None:
    routing = Routing([surface(_get("/plain/{name}"))])
    assert _found(routing, "/plain/a%2Fb%20c") == ("/plain/{name}", {"name": "a/b c"})


def test_an_empty_segment_is_not_a_parameter() -> None:
    routing = Routing([surface(_get("/plain/{name}"), _get("/plain/{name}/x"))])
    assert _found(routing, "/plain/") is None
    assert _found(routing, "/plain//x") is None


def test_a_parameter_with_a_pattern_spans_segments() -> None:
    routing = Routing([surface(_get("/plain/{rest:.+}/tags"), _get("/plain/fixed"))])
    assert _found(routing, "/plain/a/b/tags") == ("/plain/{rest:.+}/tags", {"rest": "a/b"})
    assert _found(routing, "/plain/fixed") == ("/plain/fixed", {})


def test_two_methods_of_one_path_may_name_its_parameter_differently() -> None:
    routing = Routing([surface(_get("/plain/{one}"), _get("/plain/{two}", method="PUT"))])
    assert _found(routing, "/plain/x") == ("/plain/{one}", {"one": "x"})
    assert _found(routing, "/plain/x", "PUT") == ("/plain/{two}", {"two": "x"})


def test_an_alias_answers_as_its_route() -> None:
    routing = Routing([surface(_get("/plain/a/{name}", aliases=("/plain/b/{name}",)))])
    assert _found(routing, "/plain/b/x") == ("/plain/a/{name}", {"name": "x"})


def test_head_is_answered_where_get_is_unless_it_has_a_route_of_its_own() -> None:
    routing = Routing([surface(_get("/plain/a", method="HEAD"), _get("/plain/a"), _get("/plain/b"))])
    own, implied = routing.find("/plain/a"), routing.find("/plain/b")
    assert own is not None
    assert implied is not None
    assert own[0].methods["HEAD"].route.method == "HEAD"
    assert implied[0].methods["HEAD"].route.method == "GET"


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        pytest.param([_get("/plain/a"), _get("/plain/a")], "already taken", id="twice"),
        pytest.param([_get("/other/a")], "longest claim", id="outside its claim"),
        pytest.param([_get("/plain/a-{name}")], "whole segment", id="half a segment"),
    ],
)
def test_a_table_that_cannot_be_served_is_refused(routes: list[Route], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Routing([surface(*routes)])


def test_a_claim_made_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="claimed twice: /v1"):
        Routing([surface(claim="/v1"), surface(claim="/v1")])

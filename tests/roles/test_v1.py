"""Every route of `/v1` against every kind of caller, compared with the table in docs/roles.md."""

from __future__ import annotations

from typing import Final

import pytest

from kit.http.surface import PUBLIC, Route
from tests.house.roles_page import read_table
from tests.roles.callers import ADMITTED, HIDDEN, Who, expect, make_callers
from tests.roles.probes import PROBES
from tests.roles.world import NOWHERE, World, names_in, try_route

_TABLE: Final = read_table("/v1")
_NOT_OF_A_PROJECT: Final = frozenset({"user_id"})
"""Parameters whose things stand beside projects: with one of them the answer is the same wherever it is used."""


def _key(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.timeout(300)
async def test_every_route_does_with_every_caller_what_the_table_says(world: World) -> None:
    callers = await make_callers(world.app, home=world.home["project_id"], elsewhere=world.elsewhere["project_id"])
    routes = world.app.surface.routes
    assert set(PROBES) == {_key(route) for route in routes} == set(_TABLE)
    wrong: list[str] = []
    count = 0
    for route in routes:
        for who in callers:
            wanted = expect(_TABLE[_key(route)], who)
            for path in (route.path, *route.aliases):
                count += 1
                if (met := await _meet(world, route, who, path=path, wanted=wanted)) != wanted:
                    wrong.append(f"{route.method} {path} as {who.name}: {met}, not {wanted}")
    assert not wrong, "\n".join(wrong)
    print(f"\n/v1: {len(routes)} routes x {len(callers)} kinds of caller, {count} cells")


async def _meet(world: World, route: Route, who: Who, *, path: str, wanted: str) -> str:
    probe = PROBES[_key(route)]
    ids = {**world.home, **probe.ids}
    if wanted == ADMITTED and probe.fresh is not None:
        ids |= await probe.fresh(world, who)
    met, status, told = await try_route(world, route, probe, path=path, ids=ids, headers=who.headers)
    if route.access == PUBLIC and told:
        met = ADMITTED
    if met == wanted == ADMITTED and status not in (probe.statuses or (route.status,)):
        return f"{status} {told[:300]!r}"
    return met


async def test_what_is_elsewhere_is_not_there_for_an_admin_of_this_project(world: World) -> None:
    """Each id of a path in turn is that of a thing in another project."""
    callers = await make_callers(world.app, home=world.home["project_id"], elsewhere=world.elsewhere["project_id"])
    (admin,) = [who for who in callers if who.name == "admin"]
    wrong, count = [], 0
    for route in world.app.surface.routes:
        if route.access not in {"viewer", "operator", "admin"}:
            continue
        probe = PROBES[_key(route)]
        for name in names_in(route.path):
            if name in _NOT_OF_A_PROJECT:
                continue
            count += 1
            ids = {**world.home, **probe.ids, name: world.elsewhere[name]}
            met, status, _ = await try_route(world, route, probe, path=route.path, ids=ids, headers=admin.headers)
            if met != HIDDEN:
                wrong.append(f"{_key(route)} with {name} of another project: {status}")
    assert not wrong, "\n".join(wrong)
    print(f"\n/v1: {count} paths with an id of another project")


async def test_a_stranger_cannot_tell_what_exists_from_what_does_not(world: World) -> None:
    callers = await make_callers(world.app, home=world.home["project_id"], elsewhere=world.elsewhere["project_id"])
    (stranger,) = [who for who in callers if who.name == "admin of another project"]
    wrong = []
    for route in world.app.surface.routes:
        if route.access not in {"viewer", "operator", "admin"}:
            continue
        probe = PROBES[_key(route)]
        there = {**world.home, **probe.ids}
        nowhere = there | {name: NOWHERE for name in there if name.endswith("_id")}
        answers = []
        for ids in (there, nowhere):
            met, status, told = await try_route(world, route, probe, path=route.path, ids=ids, headers=stranger.headers)
            for name, value in ids.items():
                told = told.replace(value.encode(), b"its id") if name.endswith("_id") else told
            answers.append((met, status, told))
        if answers[0] != answers[1]:
            wrong.append(f"{_key(route)}: {answers[0][1:]} where it is, {answers[1][1:]} where nothing is")
    assert not wrong, "\n".join(wrong)

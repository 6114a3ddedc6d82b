"""Every row of the API that existing clients know is served, under its least role, and answers for real."""

from __future__ import annotations

import csv
import re
from typing import Final

import pytest

from kit.http.surface import Route
from tests.house.tree import ROOT
from tests.roles.callers import make_callers
from tests.roles.probes import PROBES
from tests.roles.world import World, try_route

_TABLE: Final = ROOT / "tests" / "data" / "v1_rows.tsv"
with _TABLE.open() as _file:
    _ROWS: Final = tuple(csv.DictReader(_file, delimiter="\t"))


def test_the_table_holds_every_row_once() -> None:
    kinds = [row["kind"] for row in _ROWS]
    assert (kinds.count("row"), kinds.count("extra")) == (61, 14)
    assert len({(row["method"], _bare(row["path"])) for row in _ROWS}) == len(_ROWS)


@pytest.mark.parametrize("kind", ["row", "extra"])
async def test_every_row_is_served_under_its_role_and_answers_for_real(world: World, kind: str) -> None:
    callers = await make_callers(world.app, home=world.home["project_id"], elsewhere=world.elsewhere["project_id"])
    by_name = {who.name: who for who in callers}
    served = {
        (route.method, _bare(path)): (route, path)
        for route in world.app.surface.routes
        for path in (route.path, *route.aliases)
    }
    wrong: list[str] = []
    rows = [row for row in _ROWS if row["kind"] == kind]
    for row in rows:
        name = f"{row['method']} {row['path']}"
        if (found := served.get((row["method"], _bare(row["path"])))) is None:
            wrong.append(f"{name}: not served")
            continue
        route, path = found
        if route.access != row["least role"]:
            wrong.append(f"{name}: for {route.access}, not {row['least role']}")
        who = by_name["admin" if route.access in {"viewer", "operator", "admin"} else "super-admin"]
        probe = PROBES[f"{route.method} {route.path}"]
        ids = {**world.home, **probe.ids}
        if probe.fresh is not None:
            ids |= await probe.fresh(world, who)
        headers = {} if route.access == "public" else who.headers
        _, status, told = await try_route(world, route, probe, path=path, ids=ids, headers=headers)
        if not _is_real(route, status, probe.statuses):
            wrong.append(f"{name}: {status} {told[:200]!r}")
    print(f"\n/v1: {len(rows) - len(wrong)} of {len(rows)} {kind}s")
    assert not wrong, "\n".join(wrong)


def _is_real(route: Route, status: int, statuses: tuple[int, ...]) -> bool:
    return status in (statuses or (route.status,)) and status not in {404, 405, 501}


def _bare(path: str) -> str:
    """The path without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", path)

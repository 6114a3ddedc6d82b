"""The newest requests of services over HTTP."""

from __future__ import annotations

import datetime as dt

from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import Ground, make_ground
from wire.agent.metrics import RecentRequests, RequestEntry

ADMIN = bearer(SETUP_SECRET)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


async def deployed(app: App) -> tuple[Ground, str]:
    ground = await make_ground(app)
    await ground.make_healthy(await ground.deploy())
    return ground, f"/v1/services/{ground.service.id}/requests"


def entry(second: int) -> RequestEntry:
    return RequestEntry(
        method="GET",
        path="/a/{id}",
        status=200,
        bytes=12,
        duration_ms=None,
        recorded_at=NOW + dt.timedelta(seconds=second),
        replica_id="r",
    )


async def test_requests_are_told_newest_first_and_at_most_200(app: App) -> None:
    ground, url = await deployed(app)
    told = RecentRequests(requests=tuple(entry(second) for second in range(250, 0, -1)))
    app.agents.requests[ground.nodes[0], ground.service.id] = told
    async with app.serve() as http:
        status, body = await ask(http, "GET", url, headers=ADMIN)

    assert status == 200
    assert len(body) == 200
    assert body[0] == {
        "service_name": "web",
        "method": "GET",
        "path": "/a/{id}",
        "status": 200,
        "bytes": 12,
        "duration_ms": None,
        "recorded_at": "2026-01-01T00:04:10Z",
    }
    assert [each["recorded_at"] for each in body] == sorted((each["recorded_at"] for each in body), reverse=True)


async def test_a_service_that_runs_nowhere_has_no_requests(app: App) -> None:
    ground = await make_ground(app)
    async with app.serve() as http:
        assert await ask(http, "GET", f"/v1/services/{ground.service.id}/requests", headers=ADMIN) == (200, [])


async def test_a_node_that_is_away_fails_the_ask(app: App) -> None:
    _, url = await deployed(app)
    async with app.serve() as http:
        status, body = await ask(http, "GET", url, headers=ADMIN)

    assert (status, body["code"]) == (503, "node_offline")


async def test_requests_are_for_viewers_and_unknown_to_others(app: App) -> None:
    ground, url = await deployed(app)
    app.agents.requests[ground.nodes[0], ground.service.id] = RecentRequests(requests=())
    viewer = bearer(await app.token_of("vera", project_id=ground.service.project_id, role=Role.VIEWER))
    async with app.serve() as http:
        assert await ask(http, "GET", url, headers=viewer) == (200, [])
        assert (await ask(http, "GET", url, headers=bearer(await app.token_of("fay"))))[0] == 404

"""Images on nodes over `/v1`: sums of what the nodes say, and a collection that spares what artifacts need."""

from __future__ import annotations

import datetime as dt

from controld.model.role import Role
from tests.controld.app import SETUP_SECRET, App, ask, bearer
from tests.controld.deploying import image_source, make_ground
from tests.fakes.agents import BUILT
from wire.agent.images import ImageCache, KeptImage
from wire.spec import Origin

_ADMIN = bearer(SETUP_SECRET)
_NOTHING_YET = {"last_gc_at": None, "last_gc_deleted_bytes": 0, "last_gc_deleted_entries": 0}


async def test_the_sums_are_those_of_the_nodes_that_answer(app: App) -> None:
    ground = await make_ground(app, nodes=3)
    first, second, third = ground.nodes
    now = app.clock.now()
    app.agents.caches = {
        first: ImageCache(entries=2, total_bytes=300, oldest_at=now - dt.timedelta(hours=1)),
        second: ImageCache(entries=1, total_bytes=50, oldest_at=now - dt.timedelta(seconds=90)),
    }
    app.agents.offline = {third}
    viewer = bearer(await app.token_of("viewer", project_id=ground.service.project_id, role=Role.VIEWER))
    wanted = {
        "entries": 3,
        "total_bytes": 350,
        "oldest_entry_age_secs": 3600,
        **_NOTHING_YET,
        "nodes": 2,
        "silent_nodes": 1,
    }
    async with app.serve() as http:
        for path in ("/v1/oci/cache/status", "/v1/oci/cache"):
            assert await ask(http, "GET", path, headers=viewer) == (200, wanted)


async def test_without_nodes_there_is_nothing(app: App) -> None:
    async with app.serve() as http:
        status, told = await ask(http, "GET", "/v1/oci/cache/status", headers=_ADMIN)
        assert (status, told["entries"], told["total_bytes"], told["oldest_entry_age_secs"]) == (200, 0, 0, None)
        status, told = await ask(http, "POST", "/v1/oci/cache/gc", headers=_ADMIN)
        assert (status, told["deleted_entries"], told["scanned_entries"]) == (200, 0, 0)


async def test_a_collection_spares_kept_artifacts_and_is_remembered(app: App) -> None:
    ground = await make_ground(app, nodes=2, source=image_source())
    app.agents.events = [BUILT]
    await ground.advance(await ground.image())
    app.agents.caches = {each: ImageCache(entries=3, total_bytes=900) for each in ground.nodes}
    operator = bearer(await app.token_of("operator", project_id=ground.service.project_id, role=Role.OPERATOR))
    async with app.serve() as http:
        status, told = await ask(http, "POST", "/v1/oci/cache/gc", headers=operator)
        assert status == 200
        assert (told["deleted_entries"], told["deleted_bytes"], told["scanned_entries"]) == (2, 200, 6)
        assert (told["kept_in_use_entries"], told["kept_recent_entries"]) == (4, 0)
        assert (told["entries"], told["total_bytes"]) == (4, 1600)
        _, after = await ask(http, "GET", "/v1/oci/cache/status", headers=operator)
        _, audited = await ask(http, "GET", "/v1/audit", headers=_ADMIN)
    assert (after["last_gc_deleted_bytes"], after["last_gc_deleted_entries"]) == (200, 2)
    assert after["last_gc_at"] is not None
    assert audited[0]["action"] == "image_cache.collect"
    assert {node_id for node_id, _ in app.agents.sweeps} == set(ground.nodes)
    for _, asked in app.agents.sweeps:
        assert asked.kept == (KeptImage(image=BUILT.image, origin=Origin.HOSTED),)
        assert asked.idle_seconds == 604_800


async def test_a_collection_that_no_node_answers_has_not_happened(app: App) -> None:
    ground = await make_ground(app, nodes=1)
    app.agents.offline = set(ground.nodes)
    async with app.serve() as http:
        status, fault = await ask(http, "POST", "/v1/oci/cache/gc", headers=_ADMIN)
        assert (status, fault["code"]) == (503, "node_offline")
        _, told = await ask(http, "GET", "/v1/oci/cache/status", headers=_ADMIN)
        assert (told["last_gc_at"], told["silent_nodes"]) == (None, 1)

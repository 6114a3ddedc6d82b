"""The page for Prometheus under the battery of every surface, and who may read it."""

from __future__ import annotations

import pytest

from controld.api.exposition.auth import ScrapeAuth
from controld.api.exposition.surface import make_surface
from controld.core.exposition import Exposition
from controld.model.role import Role
from controld.store.census import CensusStore
from kit.exposition import CONTENT_TYPE
from kit.http.surface import Surface
from kit.http.tally import Tally
from kit.process import fetch_process
from tests.battery import Battery, Subject
from tests.controld.app import SETUP_SECRET, App, bearer
from tests.lint_exposition import read_exposition
from tests.serving import serve

_TOKEN = "m" * 64


def _make(app: App) -> Surface:
    exposition = Exposition(
        database=app.database,
        census=CensusStore(),
        tally=Tally(),
        process=fetch_process,
        gauges={},
        counters={},
        clock=app.clock,
        version="1",
    )
    auth = ScrapeAuth(app.identities.recognise, metrics_token=_TOKEN)
    return make_surface(exposition, auth=auth, note_forbidden=app.refusals.note_forbidden)


class TestExpositionSurface(Battery):
    @pytest.fixture
    def subject(self, app: App) -> Subject:
        return Subject(surface=_make(app), credential=bearer(SETUP_SECRET), foreign=bearer("x" * 64))


async def test_the_metrics_token_and_a_super_admin_read_it(app: App) -> None:
    await app.add_user("root", super_admin=True)
    async with serve(_make(app)) as http:
        for token in (_TOKEN, await app.token_of("root")):
            async with http.get("/metrics", headers=bearer(token)) as answer:
                assert answer.status == 200
                assert answer.headers["Content-Type"] == CONTENT_TYPE
                assert "moorage_controld_database_up" in read_exposition(await answer.text())


async def test_others_are_told_that_they_may_not_and_it_is_written_down(app: App) -> None:
    project = await app.add_project()
    admin = await app.token_of("ada", project_id=project, role=Role.ADMIN)
    async with serve(_make(app)) as http:
        async with http.get("/metrics", headers=bearer(admin)) as answer:
            assert answer.status == 403
        for headers in ({}, {"Authorization": f"Basic {_TOKEN}"}, bearer(_TOKEN[:-1]), bearer("")):
            async with http.get("/metrics", headers=headers) as answer:
                assert answer.status == 401
    assert app.refusals.waiting == 1


async def test_the_metrics_token_opens_nothing_else(app: App) -> None:
    async with serve(_make(app), app.surface) as http:
        for path in ("/v1/me", "/v1/nodes", "/v1/audit"):
            async with http.get(path, headers=bearer(_TOKEN)) as answer:
                assert answer.status == 401

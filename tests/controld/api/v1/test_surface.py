"""`/v1` as every surface has to be, and in its own words."""

from __future__ import annotations

import json

import pytest

from controld.api.v1.envelope import HEADERS
from controld.store.engine import Database
from tests.battery import Battery, Subject
from tests.controld.app import SETUP_SECRET, App, bearer


class TestV1(Battery):
    @pytest.fixture
    def subject(self, app: App) -> Subject:
        return Subject(surface=app.surface, credential=bearer(SETUP_SECRET), foreign=bearer("nobody's"))


async def test_a_bad_credential_is_told_with_an_empty_body(app: App) -> None:
    async with app.serve() as http:
        for headers in ({}, bearer("x"), {"Authorization": f"bearer {SETUP_SECRET}"}, {"Authorization": "Basic eDp4"}):
            async with http.get("/v1/me", headers=headers) as answer:
                assert answer.status == 401
                assert await answer.read() == b""


async def test_a_fault_has_a_sentence_and_a_code_and_every_answer_the_headers(app: App) -> None:
    async with app.serve() as http, http.get("/v1/nowhere", headers=bearer(SETUP_SECRET)) as answer:
        assert answer.status == 404
        body = await answer.json()
        assert body["code"] == "unknown_path"
        assert set(body) == {"error", "code"}
        assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)


async def test_health_is_told_to_anyone(app: App) -> None:
    async with app.serve() as http, http.get("/healthz") as answer:
        assert await answer.json() == {"status": "ok", "ok": True}


async def test_asks_are_limited_by_address_before_the_credential_is_looked_at(database: Database) -> None:
    limited = App(database, requests_per_minute=3)
    async with limited.serve() as http:
        statuses = []
        for _ in range(5):
            async with http.get("/v1/me") as answer:
                statuses.append(answer.status)
        assert statuses == [401, 401, 401, 429, 429]
        async with http.get("/v1/me", headers={"X-Forwarded-For": "192.0.2.7"}) as answer:
            assert answer.status == 401
        async with http.get("/v1/me", headers=bearer(SETUP_SECRET)) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
            assert (await answer.json())["error"] == "too many requests"
        async with http.get("/healthz") as answer:
            assert answer.status == 200
        await limited.clock.advance(61)
        async with http.get("/v1/me", headers=bearer(SETUP_SECRET)) as answer:
            assert answer.status == 200
    limited.passwords.close()


async def test_the_document_lists_every_route_with_its_role(app: App) -> None:
    async with app.serve() as http, http.get("/v1/openapi.json") as answer:
        document = json.loads(await answer.read())
    assert document["paths"]["/v1/services/{service_id}"]["get"]["x-least-role"] == "viewer"
    for route in app.surface.routes:
        if "openapi" not in route.path and "docs" not in route.path:
            assert route.method.lower() in document["paths"][route.path]

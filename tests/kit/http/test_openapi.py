"""The document says what the table says, and is served beside a page that loads nothing from elsewhere."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

import msgspec

from kit.faults import Conflict, Limited, Unauthenticated, Unavailable
from kit.http.openapi import describe, with_documents
from kit.http.surface import Ask, Route, ToldFaults
from tests.kit.http.plain import Told, surface
from tests.serving import serve


class Port(msgspec.Struct):
    """A port that a service listens on."""

    port: int


class Create(msgspec.Struct):
    name: str
    ports: list[Port] = []


class Seen(msgspec.Struct):
    at: dt.datetime
    later: dt.datetime | None = None
    text: str = ""


class Page(msgspec.Struct):
    project_id: str
    limit: int = 10
    since: Annotated[str | None, msgspec.Meta(description="From then on.")] = None


async def _handler(_: Ask) -> None:
    return None


_ROUTES = (
    Route(
        method="POST",
        path="/plain/things",
        access="operator",
        handler=_handler,
        summary="Create a thing",
        body=Create,
        answer=Create,
        status=201,
        faults=(Conflict,),
    ),
    Route(
        method="GET",
        path="/plain/things/{thing_id}/files/{rest:.+}",
        access="viewer",
        handler=_handler,
        summary="List files",
        query=Page,
        answer=list[Create],
        aliases=("/plain/old/{thing_id}/{rest:.+}",),
    ),
    Route(
        method="GET", path="/plain/log", access="public", handler=_handler, summary="Log", stream="text/event-stream"
    ),
    Route(method="GET", path="/plain/shell", access="ticket", handler=_handler, summary="Shell", stream="websocket"),
    Route(
        method="PUT",
        path="/plain/upload",
        access="operator",
        handler=_handler,
        summary="Upload",
        raw_body="application/zstd",
    ),
)


def test_an_operation_says_role_body_answer_and_faults() -> None:
    operation = describe(surface(*_ROUTES))["paths"]["/plain/things"]["post"]
    assert operation["x-least-role"] == "operator"
    assert operation["security"] == [{"bearer": ["operator"]}]
    assert operation["requestBody"]["required"] is True
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Create"}
    assert operation["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/Create")
    assert operation["responses"]["409"]["description"] == "Conflict: conflict"
    assert set(operation["responses"]) == {"201", "400", "401", "409", "413", "415", "422", "500"}


def test_aliases_are_told_as_deprecated() -> None:
    paths = describe(surface(*_ROUTES))["paths"]
    alias = paths["/plain/old/{thing_id}/{rest}"]["get"]
    assert alias["deprecated"] is True
    assert alias["x-least-role"] == "viewer"
    assert "deprecated" not in paths["/plain/things/{thing_id}/files/{rest}"]["get"]


def test_what_any_route_may_tell_is_told_of_each_with_how_to_come_again() -> None:
    told = ToldFaults(shape=Told, bodiless=(Unauthenticated,), before=(Limited,), anywhere=(Unavailable,))
    paths = describe(surface(*_ROUTES, told_faults=told, before=lambda _: None))["paths"]
    responses = paths["/plain/things"]["post"]["responses"]
    assert {"429", "503"} <= set(responses)
    assert "Retry-After" in responses["429"]["headers"]
    assert "content" not in responses["401"]
    assert responses["503"]["content"]["application/json"]["schema"]["$ref"].endswith("/Told")
    assert "503" not in paths["/plain/log"]["get"]["responses"]


def test_parameters_come_from_the_path_and_the_query_type() -> None:
    path = describe(surface(*_ROUTES))["paths"]["/plain/things/{thing_id}/files/{rest}"]["get"]
    parameters = {one["name"]: (one["in"], one["required"], one["schema"]) for one in path["parameters"]}
    assert parameters == {
        "thing_id": ("path", True, {"type": "string", "format": "uuid"}),
        "rest": ("path", True, {"type": "string"}),
        "project_id": ("query", True, {"type": "string"}),
        "limit": ("query", False, {"type": "integer", "default": 10}),
        "since": (
            "query",
            False,
            {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "description": "From then on."},
        ),
    }
    assert {one["name"]: one["description"] for one in path["parameters"] if "description" in one} == {
        "since": "From then on."
    }


def test_streams_uploads_and_public_routes_are_told_as_such() -> None:
    paths = describe(surface(*_ROUTES))["paths"]
    assert paths["/plain/log"]["get"]["responses"]["200"]["content"] == {"text/event-stream": {}}
    assert paths["/plain/log"]["get"]["security"] == []
    assert "101" in paths["/plain/shell"]["get"]["responses"]
    assert paths["/plain/upload"]["put"]["requestBody"]["content"] == {"application/zstd": {}}


def test_every_reference_leads_to_a_schema() -> None:
    document = describe(with_documents(surface(*_ROUTES)))
    names = set(re.findall(rb'"#/components/schemas/([^"]+)"', msgspec.json.encode(document)))
    assert {name.decode() for name in names} <= set(document["components"]["schemas"])
    assert "Told" in document["components"]["schemas"]


def test_a_moment_is_told_as_one_however_deep_it_stands() -> None:
    route = Route(
        method="GET",
        path="/plain/seen",
        access="any",
        handler=_handler,
        summary="Seen",
        answer=dict[str, list[Seen | None]],
    )
    properties = describe(surface(route))["components"]["schemas"]["Seen"]["properties"]
    assert properties["at"] == {"type": "string", "format": "date-time"}
    assert properties["later"]["anyOf"] == [{"type": "string", "format": "date-time"}, {"type": "null"}]
    assert "format" not in properties["text"]


def test_operations_have_names_of_their_own() -> None:
    operations = [one for path in describe(surface(*_ROUTES))["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names)


async def test_the_document_and_its_page_are_public_and_need_nothing_from_elsewhere() -> None:
    async with serve(with_documents(surface(*_ROUTES, credential_first=True))) as http:
        async with http.get("/plain/openapi.json") as answer:
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert (await answer.json())["openapi"] == "3.1.0"
        async with http.get("/plain/docs") as answer:
            page = await answer.text()
            assert (answer.status, answer.content_type) == (200, "text/html")
        linked = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert set(linked) == {"docs/page.css", "docs/page.js", "openapi.json"}
        assert not re.search(r"<script(?![^>]* src=)|<style| on[a-z]+=| style=", page)
        for link in linked:
            async with http.get(f"/plain/{link}") as answer:
                assert answer.status == 200

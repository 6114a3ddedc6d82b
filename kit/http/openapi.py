"""Describes a surface as an OpenAPI 3.1 document made from its table, and serves it with a page to read it."""

from __future__ import annotations

import dataclasses
import functools
import http
import importlib.resources
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kit.faults import (
    BadSyntax,
    Fault,
    Internal,
    Invalid,
    Malformed,
    TooLarge,
    Unauthenticated,
    UnsupportedMedia,
)
from kit.http.surface import PUBLIC, Answer, Ask, Route, Surface

_PARAMETER = re.compile(r"\{(?P<name>[a-z_]+)(?::[^{}]+)?\}")
_REFERENCE = "#/components/schemas/{name}"
_FOLDER = importlib.resources.files("kit.http").joinpath("page")
# Read on import, so that nothing blocks a running loop later.
_PAGE = {
    "": (_FOLDER.joinpath("page.html").read_bytes(), "text/html; charset=utf-8"),
    "/page.js": (_FOLDER.joinpath("page.js").read_bytes(), "text/javascript; charset=utf-8"),
    "/page.css": (_FOLDER.joinpath("page.css").read_bytes(), "text/css; charset=utf-8"),
}


def with_documents(surface: Surface, *, under: str | None = None) -> Surface:
    """The surface with public routes for its document (`openapi.json`) and page (`docs`) under its first claim."""
    base = (surface.claims[0] if under is None else under).rstrip("/")
    rendered = functools.cache(lambda: msgspec.json.encode(describe(surface)))

    async def get_document(_: Ask) -> Answer:
        return Answer(200, rendered(), {"Content-Type": "application/json"})

    routes = [
        Route(
            method="GET",
            path=f"{base}/openapi.json",
            access=PUBLIC,
            handler=get_document,
            summary="This API as an OpenAPI 3.1 document",
        )
    ]
    routes += [
        _page_route(f"{base}/docs{suffix}", data=data, content_type=kind) for suffix, (data, kind) in _PAGE.items()
    ]
    return dataclasses.replace(surface, routes=(*surface.routes, *routes))


def describe(surface: Surface) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the surface's table, aliases left out; each operation says its role as `x-access`."""
    shapes = [
        shape for route in surface.routes for shape in (route.body, route.query, route.answer) if shape is not None
    ]
    if surface.fault_shape is not None:
        shapes.append(surface.fault_shape)
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REFERENCE)
    schema_of = _Schemas(list(zip(shapes, schemas, strict=True)), components)
    paths: dict[str, dict[str, Any]] = {}
    for route in surface.routes:
        path = _PARAMETER.sub(r"{\g<name>}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(surface, route, schema_of=schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": surface.title, "version": surface.version},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """Finds the schema that was made of a type."""

    def __init__(self, made: Iterable[tuple[Any, dict[str, Any]]], components: Mapping[str, Any]) -> None:
        self._made = list(made)
        self._components = components

    def of(self, shape: Any) -> dict[str, Any]:
        return next(schema for made_of, schema in self._made if made_of is shape)

    def opened(self, shape: Any) -> dict[str, Any]:
        """The schema itself where `of` gives a reference to it."""
        schema = self.of(shape)
        reference = schema.get("$ref")
        opened: dict[str, Any] = schema if reference is None else self._components[reference.rpartition("/")[2]]
        return opened


def _operation(surface: Surface, route: Route, *, schema_of: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', route.path).rstrip('_')}",
        "x-access": route.access,
        "security": [] if route.access == PUBLIC else [{"bearer": []}],
        "responses": _responses(surface, route, schema_of=schema_of),
    }
    if parameters := [*_path_parameters(route), *_query_parameters(route, schema_of)]:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {"application/json": {"schema": schema_of.of(route.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.raw_body is not None:
        operation["requestBody"] = {"required": True, "content": {route.raw_body: {}}}
    return operation


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for found in _PARAMETER.finditer(route.path):
        name = found["name"]
        is_id = not route.free_path and (name == "id" or name.endswith("_id"))
        schema = {"type": "string", "format": "uuid"} if is_id else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route, schema_of: _Schemas) -> Iterable[dict[str, Any]]:
    if route.query is None:
        return
    schema = schema_of.opened(route.query)
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": name in required, "schema": field}


def _responses(surface: Surface, route: Route, *, schema_of: _Schemas) -> dict[str, Any]:
    good: dict[str, Any] = {"description": http.HTTPStatus(route.status).phrase}
    if route.stream == "websocket":
        good = {"description": "WebSocket"}
    elif route.stream is not None:
        good["content"] = {route.stream: {}}
    elif route.answer is not None:
        good["content"] = {"application/json": {"schema": schema_of.of(route.answer)}}
    responses = {"101" if route.stream == "websocket" else str(route.status): good}
    by_status: dict[int, list[str]] = {}
    for fault in _faults(route):
        codes = by_status.setdefault(fault("").status, [])
        if fault.code not in codes:
            codes.append(fault.code)
    for status, codes in sorted(by_status.items()):
        bad: dict[str, Any] = {"description": f"{http.HTTPStatus(status).phrase}: {', '.join(codes)}"}
        if surface.fault_shape is not None:
            bad["content"] = {"application/json": {"schema": schema_of.of(surface.fault_shape)}}
        responses[str(status)] = bad
    return responses


def _faults(route: Route) -> Iterable[type[Fault]]:
    yield from route.faults
    if route.access != PUBLIC:
        yield Unauthenticated
    if route.query is not None or any(schema["schema"].get("format") for schema in _path_parameters(route)):
        yield Invalid
    if route.body is not None:
        yield from (BadSyntax, Malformed, TooLarge, UnsupportedMedia)
    yield Internal


def _page_route(path: str, *, data: bytes, content_type: str) -> Route:
    async def get_page(_: Ask) -> Answer:
        return Answer(200, data, {"Content-Type": content_type})

    return Route(method="GET", path=path, access=PUBLIC, handler=get_page, summary="A page to read this API")

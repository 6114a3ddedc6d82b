"""Describes a surface as an OpenAPI 3.1 document made from its table, and serves it with a page to read it."""

from __future__ import annotations

import dataclasses
import functools
import http
import importlib.resources
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from kit.faults import (
    STATUS,
    BadSyntax,
    Fault,
    Internal,
    Invalid,
    Malformed,
    TooLarge,
    Unauthenticated,
    UnsupportedMedia,
)
from kit.http.moments import mark_moments
from kit.http.surface import PUBLIC, Answer, Ask, Route, Surface

_PARAMETER = re.compile(r"\{(?P<name>[a-z_]+)(?::[^{}]+)?\}")
_REFERENCE = "#/components/schemas/{name}"
_SCHEME: Final = "bearer"
_JSON: Final = "application/json"
_HEADERS: Final[Mapping[str, Any]] = {
    "X-Request-Id": {"description": "The id of this request in the log.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to come again.", "schema": {"type": "integer", "minimum": 0}},
}
_ON_ALL: Final[Mapping[str, Any]] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
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
        return Answer(200, rendered(), {"Content-Type": _JSON})

    routes = [
        Route(
            method="GET",
            path=f"{base}/openapi.json",
            access=PUBLIC,
            handler=get_document,
            summary="This API as an OpenAPI 3.1 document",
            content=_JSON,
            throttled=False,
        )
    ]
    routes += [
        _page_route(f"{base}/docs{suffix}", data=data, content_type=kind) for suffix, (data, kind) in _PAGE.items()
    ]
    return dataclasses.replace(surface, routes=(*surface.routes, *routes))


def describe(surface: Surface) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the surface's table, aliases told as deprecated.

    Each operation says its least role as `x-least-role` and as the role of its security requirement.
    """
    shapes = [
        shape for route in surface.routes for shape in (route.body, route.query, route.answer) if shape is not None
    ]
    if surface.told_faults.shape is not None:
        shapes.append(surface.told_faults.shape)
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REFERENCE)
    mark_moments(shapes, components)
    schema_of = _Schemas(list(zip(shapes, schemas, strict=True)), components)
    paths: dict[str, dict[str, Any]] = {}
    for route in surface.routes:
        for path in (route.path, *route.aliases):
            operation = _operation(surface, route, path=path, schema_of=schema_of)
            paths.setdefault(_PARAMETER.sub(r"{\g<name>}", path), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": surface.title, "version": surface.version},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A session's token or an API token. The roles of a requirement name the least role "
                    "that its caller needs.",
                }
            },
            "headers": _HEADERS,
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


def _operation(surface: Surface, route: Route, *, path: str, schema_of: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', path).rstrip('_')}",
        "tags": [_tag(surface, path)],
        "x-least-role": route.access,
        "security": [] if route.access == PUBLIC else [{_SCHEME: [route.access]}],
        "responses": _responses(surface, route, path=path, schema_of=schema_of),
    }
    if path != route.path:
        operation["deprecated"] = True
    if parameters := [*_path_parameters(route, path), *_query_parameters(route, schema_of)]:
        operation["parameters"] = parameters
    if route.body is not None:
        content = {_JSON: {"schema": schema_of.of(route.body)}}
        operation["requestBody"] = {"required": route.needs_body, "content": content}
    elif route.raw_body is not None:
        operation["requestBody"] = {"required": True, "content": {route.raw_body: {}}}
    return operation


def _tag(surface: Surface, path: str) -> str:
    """The noun of a path: its first part below the surface's claim."""
    below = path.removeprefix(surface.claims[0]).strip("/") or path.strip("/")
    return below.partition("/")[0] or surface.name


def _path_parameters(route: Route, path: str) -> Iterable[dict[str, Any]]:
    for found in _PARAMETER.finditer(path):
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
        told = {"description": field["description"]} if "description" in field else {}
        yield {"name": name, "in": "query", "required": name in required, **told, "schema": field}


def _responses(surface: Surface, route: Route, *, path: str, schema_of: _Schemas) -> dict[str, Any]:
    good: dict[str, Any] = {"description": http.HTTPStatus(route.status).phrase, "headers": dict(_ON_ALL)}
    if route.stream == "websocket":
        good["description"] = "WebSocket"
    elif route.stream is not None or route.content is not None:
        good["content"] = {kind: {} for kind in (route.stream or route.content or "").split(", ")}
    elif route.answer is not None:
        good["content"] = {_JSON: {"schema": schema_of.of(route.answer)}}
    for name, meaning in route.headers.items():
        good["headers"][name] = {"description": meaning, "schema": {"type": "string"}}
    responses = {"101" if route.stream == "websocket" else str(route.status): good}
    by_status: dict[int, list[type[Fault]]] = {}
    for fault in dict.fromkeys(_faults(surface, route, path=path)):
        by_status.setdefault(STATUS[fault.kind], []).append(fault)
    for status, faults in sorted(by_status.items()):
        codes = ", ".join(dict.fromkeys(fault.code for fault in faults))
        bad: dict[str, Any] = {"description": f"{http.HTTPStatus(status).phrase}: {codes}", "headers": dict(_ON_ALL)}
        if surface.told_faults.shape is not None and not set(faults) <= set(surface.told_faults.bodiless):
            bad["content"] = {_JSON: {"schema": schema_of.of(surface.told_faults.shape)}}
        if status in {429, 503}:
            bad["headers"]["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
        responses[str(status)] = bad
    return responses


def _faults(surface: Surface, route: Route, *, path: str) -> Iterable[type[Fault]]:
    """Every fault that the route may tell, some of them twice."""
    yield from route.faults
    if route.access != PUBLIC:
        yield Unauthenticated
        yield from surface.told_faults.anywhere
    if surface.before is not None and route.throttled:
        yield from surface.told_faults.before
    if route.query is not None or any(schema["schema"].get("format") for schema in _path_parameters(route, path)):
        yield Invalid
    if route.body is not None:
        yield from (BadSyntax, Malformed, TooLarge, UnsupportedMedia)
    elif route.raw_body is not None:
        yield BadSyntax
    if route.stream == "websocket":
        yield Invalid
    yield Internal


def _page_route(path: str, *, data: bytes, content_type: str) -> Route:
    async def get_page(_: Ask) -> Answer:
        return Answer(200, data, {"Content-Type": content_type})

    return Route(
        method="GET",
        path=path,
        access=PUBLIC,
        handler=get_page,
        summary="A page to read this API",
        content=content_type.partition(";")[0],
        throttled=False,
    )

"""Finds who answers a path: the longest claim decides the surface, then its table decides the route."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import msgspec

from kit.http.decode import body_decoder, query_decoder
from kit.http.ready import render_head
from kit.http.surface import PUBLIC, Route, Surface

_PARAMETER = re.compile(r"\{(?P<name>[a-z_]+)(?::(?P<pattern>[^{}]+))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A route made ready to serve: its decoders, its answer's head, and the names of its parameters in order."""

    surface: Surface
    route: Route
    names: tuple[str, ...]
    ids: tuple[str, ...]
    decode_body: Callable[[bytes], Any] | None
    needs_body: bool
    decode_query: Callable[[str], Any] | None
    changes: bool
    head: bytes | None


@dataclass(slots=True)
class Place:
    """What one path answers, by method."""

    surface: Surface
    methods: dict[str, Bound] = field(default_factory=dict)

    @property
    def allow(self) -> tuple[str, ...]:
        """The methods that the path answers, sorted."""
        return tuple(sorted(self.methods))

    @property
    def is_public(self) -> bool:
        """Whether every route here may be called without a credential."""
        return all(bound.route.access == PUBLIC for bound in self.methods.values())


@dataclass(slots=True)
class _Node:
    fixed: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    place: Place | None = None


class Routing:
    """One table for all surfaces; it is checked when made, with ValueError for what cannot be served."""

    def __init__(self, surfaces: Sequence[Surface]) -> None:
        self._claims = _sorted_claims(surfaces)
        self._exact: dict[str, Place] = {}
        self._root = _Node()
        self._patterns: dict[str, tuple[re.Pattern[str], Place]] = {}
        for surface in surfaces:
            for route in surface.routes:
                for path in (route.path, *route.aliases):
                    self._add(surface, route, path=path)

    def find(self, path: str) -> tuple[Place, Sequence[str]] | None:
        """The place of a raw (still percent-encoded) path and its parameters, decoded."""
        if (place := self._exact.get(path)) is not None:
            return place, ()
        segments = path.split("/")
        if "%" in path:
            segments = [unquote(segment) for segment in segments]
        values: list[str] = []
        if (place := _walk(self._root, segments, depth=1, values=values)) is not None:
            return place, values
        for pattern, place in self._patterns.values():
            if found := pattern.fullmatch(path):
                return place, [unquote(value) for value in found.groups()]
        return None

    def surface_of(self, path: str) -> Surface | None:
        """The surface whose claim covers the raw path and is the longest."""
        if "%" in path:
            path = "/".join(unquote(segment).replace("/", "%2F") for segment in path.split("/"))
        for claim, surface in self._claims:
            if path == claim or path.startswith(f"{claim.rstrip('/')}/"):
                return surface
        return None

    def _add(self, surface: Surface, route: Route, *, path: str) -> None:
        if self.surface_of(path) is not surface:
            raise ValueError(
                f"cannot add {route.method} {path} to {surface.name}: its longest claim is not of {surface.name}"
            )
        place = self._place(surface, path)
        bound = _bind(surface, route, path=path)
        taken = place.methods.get(route.method)
        if taken is not None and taken.route.method == route.method:
            raise ValueError(f"cannot add {route.method} {path} to {surface.name}: it is already taken")
        place.methods[route.method] = bound
        if route.method == "GET":
            place.methods.setdefault("HEAD", bound)

    def _place(self, surface: Surface, path: str) -> Place:
        parameters = list(_PARAMETER.finditer(path))
        if not parameters:
            return self._exact.setdefault(path, Place(surface))
        if any(parameter["pattern"] for parameter in parameters):
            pattern = _pattern(path)
            return self._patterns.setdefault(pattern.pattern, (pattern, Place(surface)))[1]
        node = self._root
        for segment in path.split("/")[1:]:
            if _PARAMETER.fullmatch(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            elif "{" in segment:
                raise ValueError(f"cannot read path {path}: a parameter is a whole segment, or has a pattern")
            else:
                node = node.fixed.setdefault(segment, _Node())
        node.place = node.place or Place(surface)
        return node.place


def _sorted_claims(surfaces: Iterable[Surface]) -> list[tuple[str, Surface]]:
    claims = [(claim, surface) for surface in surfaces for claim in surface.claims]
    paths = [claim for claim, _ in claims]
    if twice := {path for path in paths if paths.count(path) > 1}:
        raise ValueError(f"cannot serve: claimed twice: {', '.join(sorted(twice))}")
    return sorted(claims, key=lambda pair: -len(pair[0]))


def _walk(node: _Node, segments: Sequence[str], *, depth: int, values: list[str]) -> Place | None:
    if depth == len(segments):
        return node.place
    segment = segments[depth]
    fixed = node.fixed.get(segment)
    if fixed is not None and (place := _walk(fixed, segments, depth=depth + 1, values=values)) is not None:
        return place
    if node.parameter is not None and segment:
        values.append(segment)
        if (place := _walk(node.parameter, segments, depth=depth + 1, values=values)) is not None:
            return place
        values.pop()
    return None


def _pattern(path: str) -> re.Pattern[str]:
    pieces: list[str] = []
    end = 0
    for parameter in _PARAMETER.finditer(path):
        pieces.append(re.escape(path[end : parameter.start()]))
        pieces.append(f"({parameter['pattern'] or '[^/]+'})")
        end = parameter.end()
    pieces.append(re.escape(path[end:]))
    return re.compile("".join(pieces))


def _bind(surface: Surface, route: Route, *, path: str) -> Bound:
    names = tuple(parameter["name"] for parameter in _PARAMETER.finditer(path))
    is_id = () if route.free_path else tuple(name for name in names if name == "id" or name.endswith("_id"))
    if route.body is not None and route.raw_body is not None:
        raise ValueError(f"cannot bind {route.method} {path}: a body is decoded or streamed, not both")
    if route.query is not None and not issubclass(route.query, msgspec.Struct):
        raise ValueError(f"cannot bind {route.method} {path}: its query is not a struct")
    return Bound(
        surface=surface,
        route=route,
        names=names,
        ids=is_id,
        decode_body=None if route.body is None else body_decoder(route.body),
        needs_body=route.needs_body,
        decode_query=None if route.query is None else query_decoder(route.query),
        changes=route.method not in {"GET", "HEAD"} and route.stream is None,
        head=None if route.status in {204, 304} else render_head(route.status, surface.response_headers),
    )

"""Names the routes and backends of TCP ports: a route's key tells the port, and the port tells the backend."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from agent.model.ingress import INNER_SUFFIX, Backend, IngressState, Route
from wire.spec import PEER_PORT_OFFSET

_KEY = re.compile(r".+\.tcp-(\d{1,5})")
_BACKEND = re.compile(r"t(\d{4,5})")


def name_tcp_route(key: str, port: int) -> str:
    """The key of the route that takes connections at the port, for the service whose requests go by `key`."""
    return f"{key}.tcp-{port}"


def find_port(key: str) -> int | None:
    """The port of a route, which is another one for what other nodes hand over; None for one found by its hosts."""
    match = _KEY.fullmatch(key.removesuffix(INNER_SUFFIX))
    if match is None:
        return None
    return int(match[1]) + (PEER_PORT_OFFSET if key.endswith(INNER_SUFFIX) else 0)


def name_tcp_backend(port: int) -> str:
    """The backend that the connections of a port go to; there is none but this for them."""
    return f"t{port:04d}"


def find_backend_port(name: str) -> int | None:
    """The port whose connections go to the backend; None for one of the pool."""
    match = _BACKEND.fullmatch(name)
    return None if match is None else int(match[1])


def list_ports(routes: Iterable[Route]) -> frozenset[int]:
    """The ports that the routes take connections at."""
    return frozenset(port for route in routes if (port := find_port(route.key)) is not None)


def list_open_ports(backends: Iterable[Backend]) -> frozenset[int]:
    """The ports that a proxy with these backends listens on."""
    return frozenset(port for backend in backends if (port := find_backend_port(backend.name)) is not None)


def drop_ports(wanted: IngressState, ports: Collection[int]) -> IngressState:
    """The state without the routes of these ports."""
    return replace(wanted, routes=tuple(route for route in wanted.routes if find_port(route.key) not in ports))

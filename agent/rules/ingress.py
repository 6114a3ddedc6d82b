"""Decides which commands lead an ingress from what it serves to what it should serve, losing no request on the way."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.model.ingress import (
    AddHost,
    AddServer,
    Backend,
    Command,
    DeleteServer,
    DropHost,
    FreeBackend,
    IngressObserved,
    IngressState,
    MoveHost,
    MoveServer,
    NameBackend,
    Plan,
    Route,
    Server,
    ServerObserved,
    ServerState,
    SetServer,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_HOST = 253


def allows_name(name: str) -> bool:
    """Whether a route key or a server name is made of letters, digits, `_`, `.` and `-` alone, 128 at most."""
    return _NAME.fullmatch(name) is not None


def allows_host(host: str) -> bool:
    """Whether a host is a lowercase DNS name without port or trailing dot."""
    return len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) is not None


def allows_server(server: Server) -> bool:
    """Whether a server has a safe name, an IP address and a port."""
    try:
        plain = str(ipaddress.ip_address(server.address)) == server.address and "%" not in server.address
    except ValueError:
        return False
    return plain and allows_name(server.name) and 0 < server.port < 65536


def screen_state(wanted: IngressState, reserved: Iterable[str] = ()) -> tuple[IngressState, tuple[str, ...]]:
    """The part of a state that may be served, and a sentence for each part that may not.

    One bad host or server costs nothing but itself. A host goes to the first route that names it; `reserved` hosts go
    to none.
    """
    hosts = set(reserved)
    keys: set[str] = set()
    routes: list[Route] = []
    refused: list[str] = []
    for route in wanted.routes:
        if not allows_name(route.key):
            refused.append(f"cannot serve route {route.key!r}: the key is not a plain name")
            continue
        if route.key in keys:
            refused.append(f"cannot serve route {route.key!r}: another route has the same key")
            continue
        keys.add(route.key)
        kept_hosts: list[str] = []
        for host in dict.fromkeys(route.hosts):
            if not allows_host(host):
                refused.append(f"cannot route host {host!r} to {route.key}: it is not a lowercase host name")
            elif host in hosts:
                refused.append(f"cannot route host {host!r} to {route.key}: it is taken")
            else:
                kept_hosts.append(host)
        hosts.update(kept_hosts)
        servers: dict[str, Server] = {}
        for server in route.servers:
            if not allows_server(server):
                refused.append(f"cannot add server {server.name!r} to {route.key}: name, address or port is not valid")
            elif server.name in servers:
                refused.append(f"cannot add server {server.name!r} to {route.key}: the name is there already")
            else:
                servers[server.name] = server
        routes.append(Route(key=route.key, hosts=tuple(kept_hosts), servers=tuple(servers.values())))
    return IngressState(routes=tuple(routes)), tuple(refused)


def place_routes(
    keys: Sequence[str], backends: Sequence[Backend], pointed: Iterable[str] = ()
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The backend of each key, and the keys that found none; a key stays where it is.

    A backend is free when no route, no server and no host (`pointed`) holds it, so that no request can reach the wrong
    service while a backend changes hands.
    """
    holds: dict[str, str] = {}
    for backend in backends:
        if backend.key is not None:
            holds.setdefault(backend.key, backend.name)
    busy = set(pointed)
    free = iter([b.name for b in backends if b.key is None and not b.servers and b.name not in busy])
    placed: dict[str, str] = {}
    unplaced: list[str] = []
    for key in keys:
        name = holds.get(key) or next(free, None)
        if name is None:
            unplaced.append(key)
        else:
            placed[key] = name
    return placed, tuple(unplaced)


def plan_ingress(wanted: IngressState, observed: IngressObserved) -> Plan:
    """The commands from observed to wanted, both already screened, in an order that never leaves a served route bare.

    Servers become ready and hosts point to them before anything is drained or removed. Applying the plan and planning
    again gives no commands, but for servers that linger with open sessions.
    """
    placement, unplaced = place_routes([r.key for r in wanted.routes], observed.backends, observed.hosts.values())
    backends = {backend.name: backend for backend in observed.backends}
    routes = {placement[route.key]: route for route in wanted.routes if route.key in placement}
    hosts = {host: name for name, route in routes.items() for host in route.hosts}

    named = [NameBackend(backend=n, key=r.key) for n, r in routes.items() if backends[n].key is None]
    risen = [command for n, r in routes.items() for command in _raise_servers(r, backends[n])]
    pointed = list(_point_hosts(hosts, observed))
    dropped = [DropHost(host=host) for host in observed.hosts if host not in hosts]
    lowered = [command for n, r in routes.items() for command in _lower_servers(r, backends[n])]

    removed: list[Command] = []
    freed: list[Command] = []
    lingering: list[str] = []
    for backend in observed.backends:
        route = routes.get(backend.name)
        kept = {server.name for server in route.servers} if route else set()
        unwanted = [server for server in backend.servers if server.name not in kept]
        for server in unwanted:
            removed += _remove_server(backend.name, server)
        held = [server.name for server in unwanted if server.sessions]
        lingering += held
        if route is None and backend.key is not None and not held:
            freed.append(FreeBackend(backend=backend.name))
    return Plan(
        commands=(*named, *risen, *pointed, *dropped, *lowered, *removed, *freed),
        placement=placement,
        unplaced=unplaced,
        lingering=tuple(lingering),
    )


def plan_growth(keys: Sequence[str], size: int) -> int:
    """The size of a pool that holds all keys: `size` doubled, as often as needed and at least once."""
    grown = max(size, 1) * 2
    while grown < len(keys):
        grown *= 2
    return grown


def pool_names(size: int) -> tuple[str, ...]:
    """The names of a pool's backends, in order."""
    return tuple(f"p{number:04d}" for number in range(size))


def fresh_pool(placement: Mapping[str, str], size: int) -> tuple[Backend, ...]:
    """The pool as a new process has it: no servers, and backends held by the keys of the placement alone."""
    keys = {name: key for key, name in placement.items()}
    return tuple(Backend(name=name, key=keys.get(name)) for name in pool_names(size))


def _raise_servers(route: Route, backend: Backend) -> Iterator[Command]:
    known = {server.name: server for server in backend.servers}
    for server in route.servers:
        seen = known.get(server.name)
        if seen is None:
            yield AddServer(backend=backend.name, server=server.name, address=server.address, port=server.port)
            if server.state is not ServerState.MAINT:
                yield SetServer(backend=backend.name, server=server.name, state=server.state)
            continue
        if (seen.address, seen.port) != (server.address, server.port):
            yield MoveServer(backend=backend.name, server=server.name, address=server.address, port=server.port)
        if server.state is ServerState.READY is not seen.state:
            yield SetServer(backend=backend.name, server=server.name, state=server.state)


def _lower_servers(route: Route, backend: Backend) -> Iterator[Command]:
    known = {server.name: server for server in backend.servers}
    for server in route.servers:
        seen = known.get(server.name)
        if seen is not None and server.state is not ServerState.READY and server.state is not seen.state:
            yield SetServer(backend=backend.name, server=server.name, state=server.state)


def _point_hosts(hosts: Mapping[str, str], observed: IngressObserved) -> Iterator[Command]:
    for host, backend in hosts.items():
        current = observed.hosts.get(host)
        if current is None:
            yield AddHost(host=host, backend=backend)
        elif current != backend:
            yield MoveHost(host=host, backend=backend)


def _remove_server(backend: str, server: ServerObserved) -> Iterator[Command]:
    if server.sessions:
        if server.state is ServerState.READY:
            yield SetServer(backend=backend, server=server.name, state=ServerState.DRAIN)
        return
    if server.state is not ServerState.MAINT:
        yield SetServer(backend=backend, server=server.name, state=ServerState.MAINT)
    yield DeleteServer(backend=backend, server=server.name)

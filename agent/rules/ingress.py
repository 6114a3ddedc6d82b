"""Decides which commands lead an ingress from what it serves to what it should serve, losing no request on the way."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from agent.model.ingress import (
    INNER_PREFIX,
    INNER_SUFFIX,
    POOL_PREFIX,
    AddCertificate,
    AddHost,
    AddServer,
    AdmitPeer,
    Backend,
    Certificate,
    Command,
    DeleteServer,
    DropCertificate,
    DropHost,
    ExpelPeer,
    FreeBackend,
    IngressObserved,
    IngressState,
    MoveHost,
    MoveServer,
    NameBackend,
    Plan,
    Route,
    SecureHost,
    Server,
    ServerObserved,
    ServerState,
    SetServer,
    UnsecureHost,
    WeighServer,
)
from agent.rules.tcp_ports import find_backend_port, find_port, list_ports, name_tcp_backend

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST_HOST = 253
_MOST_WEIGHT = 256


def allows_name(name: str) -> bool:
    """Whether a route key or a server name is made of letters, digits, `_`, `.` and `-` alone, 128 at most."""
    return _NAME.fullmatch(name) is not None


def allows_host(host: str) -> bool:
    """Whether a host is a lowercase DNS name without port or trailing dot."""
    return len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) is not None


def allows_server(server: Server) -> bool:
    """Whether a server has a safe name, an IP address, a port and a weight, and a peer a plain name."""
    try:
        plain = str(ipaddress.ip_address(server.address)) == server.address and "%" not in server.address
    except ValueError:
        return False
    known = server.peer is None or allows_host(server.peer)
    weighed = 0 < server.weight <= _MOST_WEIGHT
    return plain and known and weighed and allows_name(server.name) and 0 < server.port < 65536


def screen_state(wanted: IngressState) -> tuple[IngressState, tuple[str, ...]]:
    """The part of a state that may be served, and a sentence for each part that may not.

    One bad host, server or certificate costs nothing but itself. A host goes to the first route that names it, and has
    the first certificate that does.
    """
    hosts: set[str] = set()
    keys: set[str] = set()
    ports: set[int] = set()
    routes: list[Route] = []
    refused: list[str] = []
    for route in wanted.routes:
        if not allows_name(route.key):
            refused.append(f"cannot serve route {route.key!r}: the key is not a plain name")
            continue
        if route.key in keys:
            refused.append(f"cannot serve route {route.key!r}: another route has the same key")
            continue
        port = find_port(route.key)
        if port is not None and (port in ports or not 0 < port < 65536):
            refused.append(f"cannot serve route {route.key!r}: its port is taken by another route, or is none")
            continue
        ports.update(() if port is None else (port,))
        keys.add(route.key)
        kept_hosts: list[str] = []
        for host in dict.fromkeys(route.hosts):
            if not allows_host(host.removeprefix(INNER_PREFIX)):
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
    certificates: dict[str, Certificate] = {}
    for certificate in wanted.certificates:
        if not allows_host(certificate.host):
            refused.append(f"cannot serve {certificate.host!r} over TLS: it is not a lowercase host name")
        elif certificate.host in certificates:
            refused.append(f"cannot serve {certificate.host} by a second certificate: it has one")
        else:
            certificates[certificate.host] = certificate
    peers = tuple(sorted({peer for peer in wanted.peers if allows_name(peer)}))
    refused += [f"cannot let {peer!r} hand requests over: it is no plain name" for peer in {*wanted.peers} - {*peers}]
    state = IngressState(routes=tuple(routes), certificates=tuple(certificates.values()), peers=peers)
    return state, tuple(refused)


def drop_peers(wanted: IngressState) -> IngressState:
    """The state without other nodes, for a proxy that has no identity to speak to them."""
    routes = tuple(
        replace(route, servers=tuple(server for server in route.servers if server.peer is None))
        for route in wanted.routes
        if find_port(route.key) is None or not route.key.endswith(INNER_SUFFIX)
    )
    return replace(wanted, routes=routes, peers=())


def place_routes(
    keys: Sequence[str], backends: Sequence[Backend], pointed: Iterable[str] = ()
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The backend of each key, and the keys that found none; a key stays where it is.

    A backend is free when no route, no server and no host (`pointed`) holds it, so that no request can reach the wrong
    service while a backend changes hands. The route of a port has the backend of this port or none.
    """
    holds: dict[str, str] = {}
    for backend in backends:
        if backend.key is not None:
            holds.setdefault(backend.key, backend.name)
    busy = set(pointed)
    idle = [b.name for b in backends if b.key is None and not b.servers and b.name not in busy]
    free = iter([name for name in idle if find_backend_port(name) is None])
    placed: dict[str, str] = {}
    unplaced: list[str] = []
    for key in keys:
        name = holds.get(key)
        if name is None and (port := find_port(key)) is not None:
            name = name_tcp_backend(port) if name_tcp_backend(port) in idle else None
        elif name is None:
            name = next(free, None)
        if name is None:
            unplaced.append(key)
        else:
            placed[key] = name
    return placed, tuple(unplaced)


def plan_ingress(wanted: IngressState, observed: IngressObserved) -> Plan:
    """The commands from observed to wanted, both already screened, in an order that never leaves a served route bare.

    Servers become ready and hosts point to them before anything is drained or removed; a certificate is there before
    plain HTTP is sent to it, and its successor before it goes. Applying the plan and planning again gives no commands,
    but for servers that linger with open sessions.
    """
    placement, unplaced = place_routes([r.key for r in wanted.routes], observed.backends, observed.hosts.values())
    backends = {backend.name: backend for backend in observed.backends}
    routes = {placement[route.key]: route for route in wanted.routes if route.key in placement}
    hosts = {host: name for name, route in routes.items() for host in route.hosts}

    named = [NameBackend(backend=n, key=r.key) for n, r in routes.items() if backends[n].key is None]
    risen = [command for n, r in routes.items() for command in _raise_servers(r, backends[n])]
    pointed = list(_point_hosts(hosts, observed))
    locked = list(_secure_hosts(wanted, observed))
    unlocked = list(_unsecure_hosts(wanted, observed))
    dropped = [DropHost(host=host) for host in observed.hosts if host not in hosts]
    admitted = [AdmitPeer(node_id=peer) for peer in wanted.peers if peer not in observed.peers]
    expelled = [ExpelPeer(node_id=peer) for peer in sorted(observed.peers.difference(wanted.peers))]
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
        commands=(
            *named,
            *risen,
            *pointed,
            *admitted,
            *locked,
            *dropped,
            *unlocked,
            *lowered,
            *removed,
            *freed,
            *expelled,
        ),
        placement=placement,
        unplaced=unplaced,
        lingering=tuple(lingering),
    )


def plan_growth(keys: Sequence[str], size: int) -> int:
    """The size of a pool that holds all keys but those of ports: `size` doubled, as often as needed, once at least."""
    grown = max(size, 1) * 2
    while grown < sum(find_port(key) is None for key in keys):
        grown *= 2
    return grown


def pool_names(size: int) -> tuple[str, ...]:
    """The names of a pool's backends, in order."""
    return tuple(f"{POOL_PREFIX}{number:04d}" for number in range(size))


def fresh_pool(placement: Mapping[str, str], size: int, *, routes: Iterable[Route] = ()) -> tuple[Backend, ...]:
    """The backends as a new process has them: no servers, each held by the keys of the placement alone.

    There are those of the pool and, for every one of the `routes` that has a port, that of the port.
    """
    keys = {name: key for key, name in placement.items()}
    names = (*pool_names(size), *(name_tcp_backend(port) for port in sorted(list_ports(routes))))
    return tuple(Backend(name=name, key=keys.get(name)) for name in names)


def _raise_servers(route: Route, backend: Backend) -> Iterator[Command]:
    known = {server.name: server for server in backend.servers}
    for server in route.servers:
        seen = known.get(server.name)
        if seen is None:
            yield AddServer(
                backend=backend.name,
                server=server.name,
                address=server.address,
                port=server.port,
                weight=server.weight,
                peer=server.peer,
            )
            if server.state is not ServerState.MAINT:
                yield SetServer(backend=backend.name, server=server.name, state=server.state)
            continue
        if (seen.address, seen.port) != (server.address, server.port):
            yield MoveServer(backend=backend.name, server=server.name, address=server.address, port=server.port)
        if seen.weight != server.weight:
            yield WeighServer(backend=backend.name, server=server.name, weight=server.weight)
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


def find_held(wanted: IngressState, held: Mapping[str, str]) -> dict[str, str]:
    """The hosts of the certificates that stay or come, by name, where the proxy holds those of `held`."""
    coming = {certificate.name: certificate.host for certificate in wanted.certificates if certificate.name}
    untouched = {certificate.host for certificate in wanted.certificates if not certificate.name}
    return {name: host for name, host in held.items() if host in untouched and name not in coming} | coming


def _secure_hosts(wanted: IngressState, observed: IngressObserved) -> Iterator[Command]:
    for certificate in wanted.certificates:
        if certificate.name and certificate.name not in observed.certificates:
            yield AddCertificate(host=certificate.host, name=certificate.name, pem=certificate.pem)
    for host in sorted(set(find_held(wanted, observed.certificates).values()) - observed.secured):
        yield SecureHost(host=host)


def _unsecure_hosts(wanted: IngressState, observed: IngressObserved) -> Iterator[Command]:
    held = find_held(wanted, observed.certificates)
    for host in sorted(observed.secured - set(held.values())):
        yield UnsecureHost(host=host)
    for name in observed.certificates:
        if name not in held:
            yield DropCertificate(name=name)


def _remove_server(backend: str, server: ServerObserved) -> Iterator[Command]:
    if server.sessions:
        if server.state is ServerState.READY:
            yield SetServer(backend=backend, server=server.name, state=ServerState.DRAIN)
        return
    if server.state is not ServerState.MAINT:
        yield SetServer(backend=backend, server=server.name, state=ServerState.MAINT)
    yield DeleteServer(backend=backend, server=server.name)

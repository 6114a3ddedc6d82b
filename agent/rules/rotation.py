"""Decides which replicas take traffic on each route, which finish what they have, and which get nothing."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Final

from agent.model.ingress import (
    INNER_PREFIX,
    INNER_SUFFIX,
    PEER_PREFIX,
    WAKER_PREFIX,
    Certificate,
    IngressObserved,
    IngressState,
    Route,
    Server,
    ServerObserved,
    ServerState,
)
from agent.model.replica import Run
from agent.model.standing import Leaving, Standing
from agent.rules.drain import Phase
from agent.rules.health import takes_connections
from agent.rules.ingress import find_held
from agent.rules.tcp_ports import name_tcp_route
from wire.identity import node_host
from wire.spec import PEER_PORT_OFFSET, NodeSpec, Peer, TcpPort
from wire.spec import Certificate as CertificateGiven
from wire.spec import Route as RouteWanted

CONTROL_ROUTE: Final = "control"
_MOST_WEIGHT: Final = 256
_LOOPBACK: Final = "127.0.0.1"


def find_servers(ingress: IngressObserved | None, name: str) -> dict[str, ServerObserved] | None:
    """The servers of that name by route key; None while the proxy does not answer."""
    if ingress is None:
        return None
    found: dict[str, ServerObserved] = {}
    for key, route in ingress.routes.items():
        for server in route.servers:
            if server.name == name:
                found[key] = server
    return found


def plan_rotation(
    spec: NodeSpec,
    standings: Mapping[str, Standing],
    leaving: Sequence[tuple[Leaving, Phase]],
    ingress: IngressObserved | None,
    *,
    engine_ok: bool,
    waker_port: int | None = None,
) -> IngressState:
    """The servers of every route: healthy replicas ready, the rest as `_place` and the phases say.

    A route that is asleep leads to ourselves at `waker_port` on loopback, and to no other node before it is awake.

    A route that the spec no longer has stays without hosts until its last server has drained. The control domain is a
    route like the others, ahead of them. What other nodes hand over has a route of its own, without other nodes in it.
    """
    going = {item.container.id for item, _ in leaving}
    servers: dict[str, dict[str, Server]] = {}
    for route in spec.routes:
        members = [standings[name] for name in route.replicas if name in standings]
        present = [member for member in members if member.container is not None and member.container.id not in going]
        look = functools.partial(_place, present, ingress=ingress, engine_ok=engine_ok, spared=bool(route.peers))
        servers[route.key] = look(key=route.key)
        if not route.asleep:
            servers[route.key] |= {_peer_name(peer): _lead_to_peer(peer) for peer in route.peers}
        elif waker_port is not None:
            waker = _server(name_waker(route.service_id), _LOOPBACK, waker_port, ServerState.READY)
            servers[route.key][waker.name] = waker
        if route.shared:
            servers[route.key + INNER_SUFFIX] = look(key=route.key + INNER_SUFFIX)
        for key, tcp in _list_tcp_routes(route).items():
            inner = key.endswith(INNER_SUFFIX)
            servers[key] = look(key=key, port=tcp.internal_port)
            servers[key] |= {} if inner else {_peer_name(peer): _lead_to_peer(peer, tcp) for peer in route.peers}
    for item, phase in leaving:
        if phase in {Phase.SERVE, Phase.HAND_OVER, Phase.DRAIN}:
            for key, server in _keep(item, phase, spec, ingress):
                servers.setdefault(key, {}).setdefault(server.name, server)
    hosts = {route.key: route.hosts for route in spec.routes}
    for route in spec.routes:
        if route.shared:
            hosts[route.key + INNER_SUFFIX] = tuple(f"{INNER_PREFIX}{host}" for host in route.hosts)
    routes = [Route(key=key, hosts=hosts.get(key, ()), servers=tuple(found.values())) for key, found in servers.items()]
    return IngressState(
        routes=(*_lead_to_control(spec), *routes),
        certificates=tuple(_take_certificate(each) for each in spec.certificates),
        peers=spec.peers,
    )


@functools.lru_cache(maxsize=4096)
def _take_certificate(given: CertificateGiven) -> Certificate:
    return Certificate(host=given.host, pem=given.chain_pem + given.key_pem)


def _lead_to_control(spec: NodeSpec) -> tuple[Route, ...]:
    host = spec.control_domain
    if host is None:
        return ()
    if spec.control_address is None:
        peers = tuple(_lead_to_peer(peer) for peer in spec.control_peers)
        return (Route(key=CONTROL_ROUTE, hosts=(host,), servers=peers),) if peers else ()
    address, _, port = spec.control_address.rpartition(":")
    server = _server("controld", address.strip("[]"), int(port), ServerState.READY)
    own = Route(key=CONTROL_ROUTE, hosts=(host,), servers=(server,))
    if not spec.control_shared:
        return (own,)
    inner = Route(key=CONTROL_ROUTE + INNER_SUFFIX, hosts=(f"{INNER_PREFIX}{host}",), servers=(server,))
    return (own, inner)


def has_healthy(
    spec: NodeSpec,
    standings: Mapping[str, Standing],
    ingress: IngressObserved | None,
    *,
    service_id: str,
    besides: str,
) -> bool | None:
    """Whether another replica on the service's routes is healthy, or the ingress of another node is up that leads to
    one; None when no route of the service names either.
    """
    others = {
        name
        for route in spec.routes
        if route.service_id == service_id
        for name in route.replicas
        if name != besides and name in standings
    }
    peers = {_peer_name(peer) for route in spec.routes if route.service_id == service_id for peer in route.peers}
    if not others and not peers:
        return None
    return any(standings[name].healthy for name in others) or any(
        server.is_up for name in peers for server in (find_servers(ingress, name) or {}).values()
    )


def _place(
    members: Sequence[Standing],
    *,
    ingress: IngressObserved | None,
    key: str,
    engine_ok: bool,
    spared: bool,
    port: int | None = None,
) -> dict[str, Server]:
    """Healthy members are ready; unhealthy ones finish what they have, or serve on when nobody is healthy, which other
    nodes may be (`spared`). They serve at `port`, or where they answer HTTP.

    A member at whose address nothing listens serves nobody. While the engine does not answer, its first failed check
    of that kind is enough: the address may belong to another container by now.
    """
    placed: dict[str, Server] = {}
    doubtful: list[tuple[Standing, Run]] = []
    for member in members:
        run = member.run
        if run is None or member.facts is None:
            continue
        gone = not takes_connections(member.facts)
        if member.healthy and not (gone and not engine_ok):
            placed[member.replica.id] = _server(member.replica.id, run.ip, port or run.port, ServerState.READY)
        elif member.unhealthy and not gone:
            doubtful.append((member, run))
    shown = {member.replica.id: (find_servers(ingress, member.replica.id) or {}).get(key) for member, _ in doubtful}
    ready = {name for name, server in shown.items() if server is not None and server.state is ServerState.READY}
    spared = spared or bool(placed)
    for member, run in doubtful:
        name = member.replica.id
        if not spared and (name in ready or not ready):
            placed[name] = _server(name, run.ip, port or run.port, ServerState.READY)
        elif shown[name] is not None:
            placed[name] = _server(name, run.ip, port or run.port, ServerState.DRAIN)
    return placed


def _keep(item: Leaving, phase: Phase, spec: NodeSpec, ingress: IngressObserved | None) -> list[tuple[str, Server]]:
    """The servers of a container that has to go, where the proxy shows them and still at its address."""
    name = item.replica_id

    def state_of(key: str) -> ServerState:
        inner = key.endswith(INNER_SUFFIX)
        return ServerState.READY if phase is Phase.SERVE or (phase is Phase.HAND_OVER and inner) else ServerState.DRAIN

    shown = find_servers(ingress, name)
    if shown is None:
        if item.container.ip is None or item.port is None:
            return []
        routes = [route for route in spec.routes if _belongs(route, item)]
        ports = {route.key: item.port for route in routes}
        ports |= {route.key + INNER_SUFFIX: item.port for route in routes if route.shared}
        for route in routes:
            ports |= {key: tcp.internal_port for key, tcp in _list_tcp_routes(route).items()}
        return [(key, _server(name, item.container.ip, port, state_of(key))) for key, port in ports.items()]
    return [
        (key, _server(name, server.address, server.port, state_of(key)))
        for key, server in shown.items()
        if server.address == item.container.ip
    ]


def _list_tcp_routes(route: RouteWanted) -> dict[str, TcpPort]:
    """The route's TCP ports by the keys of their own routes, of which what other nodes hand over has one too."""
    outer = {name_tcp_route(route.key, tcp.port): tcp for tcp in route.tcp} if route.replicas or route.peers else {}
    inner = {name_tcp_route(route.key, tcp.port) + INNER_SUFFIX: tcp for tcp in route.tcp} if route.shared else {}
    return outer | inner


def _belongs(route: RouteWanted, item: Leaving) -> bool:
    return route.service_id == item.service_id


def name_waker(service_id: str) -> str:
    """The server that holds requests for a service that sleeps; no replica has such a name."""
    return f"{WAKER_PREFIX}{service_id}"


def _peer_name(peer: Peer) -> str:
    """Its server; no replica has such a name."""
    return f"{PEER_PREFIX}{peer.node_id}"


def _lead_to_peer(peer: Peer, tcp: TcpPort | None = None) -> Server:
    return Server(
        name=_peer_name(peer),
        address=peer.address,
        port=peer.port if tcp is None else tcp.port + PEER_PORT_OFFSET,
        weight=min(peer.weight, _MOST_WEIGHT),
        peer=node_host(peer.node_id),
    )


def _server(name: str, address: str, port: int, state: ServerState) -> Server:
    return Server(name=name, address=address, port=port, state=state)


def find_adopted(standings: Mapping[str, Standing], ingress: IngressObserved | None) -> frozenset[str]:
    """The replicas that take traffic already at the address they have: an agent that starts keeps them in rotation."""
    adopted: set[str] = set()
    for name, standing in standings.items():
        run = standing.run
        for server in (find_servers(ingress, name) or {}).values():
            at_home = run is not None and (server.address, server.port) == (run.ip, run.port)
            if at_home and server.state is ServerState.READY:
                adopted.add(name)
    return frozenset(adopted)


def shows(observed: IngressObserved, wanted: IngressState) -> bool:
    """Whether the proxy serves this: hosts, servers and certificates as wanted, and no other server that is ready."""
    held = find_held(wanted, observed.certificates)
    if observed.certificates.keys() != held.keys() or observed.secured != set(held.values()):
        return False
    if observed.peers != set(wanted.peers):
        return False
    routes = observed.routes
    for route in wanted.routes:
        seen = routes.get(route.key)
        if seen is None or set(seen.hosts) != set(route.hosts):
            return False
        servers = {server.name: server for server in seen.servers}
        for server in route.servers:
            known = servers.pop(server.name, None)
            if known is None or (known.address, known.port) != (server.address, server.port):
                return False
            if (known.state, known.weight) != (server.state, server.weight):
                return False
        if any(extra.state is ServerState.READY for extra in servers.values()):
            return False
    return all(key in {route.key for route in wanted.routes} for key in routes)

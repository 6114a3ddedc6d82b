"""Decides which replicas take traffic on each route, which finish what they have, and which get nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.model.ingress import IngressObserved, IngressState, Route, Server, ServerObserved, ServerState
from agent.model.replica import Run
from agent.model.standing import Leaving, Standing
from agent.rules.drain import Phase
from agent.rules.health import takes_connections
from wire.spec import NodeSpec
from wire.spec import Route as RouteWanted


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
) -> IngressState:
    """The servers of every route: healthy replicas ready, the rest as `_place` and the phases say.

    A route that the spec no longer has stays without hosts until its last server has drained.
    """
    going = {item.container.id for item, _ in leaving}
    servers: dict[str, dict[str, Server]] = {}
    for route in spec.routes:
        members = [standings[name] for name in route.replicas if name in standings]
        present = [member for member in members if member.container is not None and member.container.id not in going]
        servers[route.key] = _place(present, ingress=ingress, key=route.key, engine_ok=engine_ok)
    for item, phase in leaving:
        if phase in {Phase.SERVE, Phase.DRAIN}:
            for key, server in _keep(item, phase, spec, ingress):
                servers.setdefault(key, {}).setdefault(server.name, server)
    hosts = {route.key: route.hosts for route in spec.routes}
    return IngressState(
        routes=tuple(
            Route(key=key, hosts=hosts.get(key, ()), servers=tuple(found.values())) for key, found in servers.items()
        )
    )


def has_healthy(spec: NodeSpec, standings: Mapping[str, Standing], *, service_id: str, besides: str) -> bool | None:
    """Whether another replica on the service's routes is healthy; None when no route of the service names another."""
    others = {
        name
        for route in spec.routes
        if route.service_id == service_id
        for name in route.replicas
        if name != besides and name in standings
    }
    if not others:
        return None
    return any(standings[name].healthy for name in others)


def _place(
    members: Sequence[Standing], *, ingress: IngressObserved | None, key: str, engine_ok: bool
) -> dict[str, Server]:
    """Healthy members are ready; unhealthy ones finish what they have, or serve on when nobody is healthy.

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
            placed[member.replica.id] = _server(member.replica.id, run.ip, run.port, ServerState.READY)
        elif member.unhealthy and not gone:
            doubtful.append((member, run))
    shown = {member.replica.id: (find_servers(ingress, member.replica.id) or {}).get(key) for member, _ in doubtful}
    ready = {name for name, server in shown.items() if server is not None and server.state is ServerState.READY}
    spared = bool(placed)
    for member, run in doubtful:
        name = member.replica.id
        if not spared and (name in ready or not ready):
            placed[name] = _server(name, run.ip, run.port, ServerState.READY)
        elif shown[name] is not None:
            placed[name] = _server(name, run.ip, run.port, ServerState.DRAIN)
    return placed


def _keep(item: Leaving, phase: Phase, spec: NodeSpec, ingress: IngressObserved | None) -> list[tuple[str, Server]]:
    """The servers of a container that has to go, where the proxy shows them and still at its address."""
    state = ServerState.READY if phase is Phase.SERVE else ServerState.DRAIN
    name = item.replica_id
    shown = find_servers(ingress, name)
    if shown is None:
        if item.container.ip is None or item.port is None:
            return []
        keys = [route.key for route in spec.routes if _belongs(route, item)]
        return [(key, _server(name, item.container.ip, item.port, state)) for key in keys]
    return [
        (key, _server(name, server.address, server.port, state))
        for key, server in shown.items()
        if server.address == item.container.ip
    ]


def _belongs(route: RouteWanted, item: Leaving) -> bool:
    return route.service_id == item.service_id


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
    """Whether the proxy serves this: every host and server as wanted, and no other server that is ready."""
    routes = observed.routes
    for route in wanted.routes:
        seen = routes.get(route.key)
        if seen is None or set(seen.hosts) != set(route.hosts):
            return False
        servers = {server.name: server for server in seen.servers}
        for server in route.servers:
            known = servers.pop(server.name, None)
            if known is None or (known.address, known.port, known.state) != (server.address, server.port, server.state):
                return False
        if any(extra.state is ServerState.READY for extra in servers.values()):
            return False
    return all(key in {route.key for route in wanted.routes} for key in routes)

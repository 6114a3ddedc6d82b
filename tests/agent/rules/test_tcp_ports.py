"""Connections at a TCP port follow the replicas of its service as requests do."""

from __future__ import annotations

import dataclasses

from msgspec import structs

from agent.model.ingress import IngressState, Route
from agent.rules.ingress import drop_peers, fresh_pool, place_routes, screen_state
from agent.rules.plan import plan_node
from agent.rules.tcp_ports import drop_ports, find_port, list_open_ports, list_ports, name_tcp_route
from tests.agent.rules.world import FAR, World, make_container, make_replica, make_spec
from wire.identity import node_host
from wire.spec import NodeSpec, Peer, Replica, TcpPort, Wanted

KEY = "svc-id-web.tcp-20000"


def spec_of(*replicas: Replica, peers: tuple[Peer, ...] = (), shared: bool = False) -> NodeSpec:
    """A service with an endpoint at port 20000 that leads to port 5432 of its replicas."""
    spec = make_spec(*replicas, peers=peers, shared=shared)
    tcp = (TcpPort(port=20000, internal_port=5432),)
    return structs.replace(spec, routes=tuple(structs.replace(route, tcp=tcp) for route in spec.routes))


def open_world(*names: str) -> World:
    world = World([make_container(f"c-{name}", make_replica(name), ip="10.1.0.2") for name in names])
    world.ingress = dataclasses.replace(world.ingress, backends=fresh_pool({}, 8, routes=[Route(key=KEY)]))
    return world


def test_a_route_is_known_by_its_key() -> None:
    assert find_port(name_tcp_route("svc-1", 20000)) == 20000
    assert find_port("svc-1") is None
    wanted = IngressState(routes=(Route(key="svc-1"), Route(key=KEY)))
    assert list_ports(wanted.routes) == {20000}
    assert drop_ports(wanted, {20000}).routes == (Route(key="svc-1"),)
    assert drop_ports(wanted, {20001}) == wanted


def test_a_port_has_its_own_backend_or_none() -> None:
    backends = fresh_pool({}, 1, routes=[Route(key=KEY)])
    assert list_open_ports(backends) == {20000}
    assert place_routes([KEY, "svc-1"], backends) == ({KEY: "t20000", "svc-1": "p0000"}, ())
    assert place_routes(["svc-1", "svc-2"], backends) == ({"svc-1": "p0000"}, ("svc-2",))
    assert place_routes([KEY], fresh_pool({}, 1)) == ({}, (KEY,))
    held = fresh_pool({KEY: "t20000"}, 1, routes=[Route(key=KEY)])
    assert place_routes(["svc-other.tcp-20000"], held) == ({}, ("svc-other.tcp-20000",))


def test_two_routes_never_share_a_port() -> None:
    wanted, refused = screen_state(IngressState(routes=(Route(key=KEY), Route(key="svc-other.tcp-20000"))))
    assert [route.key for route in wanted.routes] == [KEY]
    assert "taken" in refused[0]
    assert screen_state(IngressState(routes=(Route(key="svc-1.tcp-0"),)))[0].routes == ()


def test_connections_go_to_the_endpoints_port_of_a_healthy_replica() -> None:
    world = open_world("old")
    for _ in range(4):
        world.turn(spec_of(make_replica("old")))
    (server,) = world.ingress.routes[KEY].servers
    assert (server.name, server.address, server.port) == ("old", "10.1.0.2", 5432)
    assert [one.port for one in world.ingress.routes["svc-id-web"].servers] == [8080]


def test_an_open_connection_keeps_its_replica_while_new_ones_go_to_its_successor() -> None:
    world = open_world("old")
    for _ in range(4):
        world.turn(spec_of(make_replica("old")))
    new = make_replica("new")
    world.images.add(new.image)
    for _ in range(6):
        world.turn(spec_of(make_replica("old"), new))
    assert world.ready(KEY) == {"old", "new"}
    spec = spec_of(make_replica("old", wanted=Wanted.DRAINING, drain_seconds=60), new)
    _hold(world, 1)
    for _ in range(20):
        world.turn(spec)
        assert world.ready(KEY) == {"new"}
        assert "c-old" in world.containers
    _hold(world, 0)
    for _ in range(8):
        world.turn(spec)
    assert "c-old" not in world.containers


def test_a_node_that_leads_to_no_replica_opens_no_port() -> None:
    plan = open_world().plan(spec_of(make_replica("old", wanted=Wanted.DRAINING)))
    assert list_ports(plan.ingress.routes) == frozenset()


def test_a_node_without_a_replica_leads_to_the_nodes_that_have_one() -> None:
    spec = spec_of(make_replica("old", wanted=Wanted.DRAINING), peers=(FAR,))
    plan = open_world().plan(spec)
    (route,) = [route for route in plan.ingress.routes if route.key == KEY]
    (server,) = route.servers
    assert (server.name, server.address, server.port, server.peer) == ("n-far", FAR.address, 30000, node_host("far"))
    assert drop_peers(plan.ingress).routes == (Route(key="svc-id-web", hosts=("web.localhost",)), Route(key=KEY))


def test_what_other_nodes_hand_over_goes_to_replicas_here_alone_at_a_port_of_its_own() -> None:
    world = open_world("old")
    for _ in range(4):
        world.turn(spec_of(make_replica("old"), peers=(FAR,), shared=True))
    assert (find_port(KEY), find_port(f"{KEY}.inner")) == (20000, 30000)
    wanted = {
        route.key: [server.name for server in route.servers]
        for route in world.plan(spec_of(make_replica("old"), peers=(FAR,), shared=True)).ingress.routes
    }
    assert wanted[KEY] == ["old", "n-far"]
    assert wanted[f"{KEY}.inner"] == ["old"]
    assert drop_peers(IngressState(routes=(Route(key=f"{KEY}.inner"),))).routes == ()


def test_while_the_proxy_is_silent_what_drains_keeps_its_port_for_the_next_start() -> None:
    world = open_world("old")
    for _ in range(4):
        world.turn(spec_of(make_replica("old")))
    spec = spec_of(make_replica("old", wanted=Wanted.DRAINING), make_replica("new"))
    world.plan(spec)
    silent = dataclasses.replace(world.snapshot(), ingress=None)

    plan = plan_node(spec, silent, world.memory, now=world.now, registry_port=1)
    kept = {route.key: route.servers for route in plan.ingress.routes}
    assert [(server.name, server.port) for server in kept[KEY]] == [("old", 5432)]


def _hold(world: World, sessions: int) -> None:
    """Have that many connections open with the old replica at the port."""
    backends = tuple(
        dataclasses.replace(
            backend,
            servers=tuple(
                dataclasses.replace(server, sessions=sessions) if server.name == "old" else server
                for server in backend.servers
            ),
        )
        if backend.key == KEY
        else backend
        for backend in world.ingress.backends
    )
    world.ingress = dataclasses.replace(world.ingress, backends=backends)

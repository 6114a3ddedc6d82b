"""A replica that serves other nodes' clients too leaves none of them without an answer when it goes."""

from __future__ import annotations

import dataclasses

from agent.model.ingress import IngressObserved, ServerState
from agent.model.replica import Obstacle, Probed, Verdict
from tests.agent.rules.world import FAR, World, make_container, make_replica, make_spec
from wire.spec import Wanted


def _lead_to_old() -> tuple[World, set[str]]:
    """A replica that serves its node's clients and what other nodes hand over."""
    old = make_replica("old")
    world = World([make_container("c1", old, ip="10.1.0.2")])
    for _ in range(4):
        world.turn(make_spec(old, shared=True))
    return world, world.ready("svc-id-web")


def test_a_replica_of_this_node_serves_clients_and_other_nodes_and_those_of_others_serve_clients_alone() -> None:
    world, ready = _lead_to_old()
    assert ready == world.ready("svc-id-web.inner") == {"old"}
    world.turn(make_spec(make_replica("old"), peers=(FAR,), shared=True))
    assert world.led_to("svc-id-web") == {"old", "n-far"}
    assert world.ready("svc-id-web.inner") == {"old"}
    (peer,) = [one for one in world.ingress.routes["svc-id-web"].servers if one.name == "n-far"]
    assert (peer.address, peer.port, peer.weight) == ("10.9.0.1", 7192, 2)
    assert world.ingress.hosts.keys() == {"web.localhost", "inner/web.localhost"}


def test_a_replica_whose_successor_runs_elsewhere_hands_over_before_it_drains() -> None:
    world, _ = _lead_to_old()
    spec = make_spec(make_replica("old", wanted=Wanted.DRAINING), peers=(FAR,), shared=True)
    began = world.now
    world.turn(spec)
    world.turn(spec)
    assert world.led_to("svc-id-web") == {"n-far"}
    while world.ready("svc-id-web.inner"):
        assert world.now < began + 7
        world.turn(spec)
    assert world.now >= began + 5, "other nodes had time to hear of it"
    assert "c1" in world.containers
    for _ in range(8):
        world.turn(spec)
    assert world.containers == {}
    assert world.led_to("svc-id-web") == {"n-far"}


def test_a_replica_serves_on_while_the_node_of_its_successor_does_not_answer() -> None:
    world, _ = _lead_to_old()
    spec = make_spec(make_replica("old", wanted=Wanted.DRAINING, drain_seconds=60), peers=(FAR,), shared=True)
    world.turn(spec)
    world.ingress = _fall_silent(world, "n-far")
    for _ in range(30):
        world.turn(spec)
        world.ingress = _fall_silent(world, "n-far")
        assert "old" in world.ready("svc-id-web")


def test_an_unhealthy_replica_serves_nobody_while_another_node_has_some() -> None:
    world, _ = _lead_to_old()
    spec = make_spec(make_replica("old"), peers=(FAR,), shared=True)
    world.turn(spec)
    world.health["old"] = dataclasses.replace(
        world.health["old"], verdict=Verdict.UNHEALTHY, verdict_at=world.now, last=Probed(obstacle=Obstacle.STATUS)
    )
    plan = world.plan(spec)
    states = {server.name: server.state for route in plan.ingress.routes for server in route.servers}
    assert states == {"old": ServerState.DRAIN, "n-far": ServerState.READY}


def test_a_service_that_runs_elsewhere_alone_is_led_there() -> None:
    world = World([])
    world.turn(make_spec(services=("web",), peers=(FAR,)))
    assert world.led_to("svc-id-web") == {"n-far"}


def _fall_silent(world: World, name: str) -> IngressObserved:
    backends = tuple(
        dataclasses.replace(
            backend,
            servers=tuple(
                dataclasses.replace(server, status="DOWN") if server.name == name else server
                for server in backend.servers
            ),
        )
        for backend in world.ingress.backends
    )
    return dataclasses.replace(world.ingress, backends=backends)

"""Replicas go where they may and where there is room, and whoever asks is told why they do not."""

from __future__ import annotations

import dataclasses

import pytest

from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.placement import ANYWHERE, Placement, Spread
from controld.rules.placement import (
    Load,
    Need,
    Promise,
    choose_builder,
    compute_loads,
    compute_room,
    explain_shortage,
    place,
)
from tests.controld.rules.test_deployment import ARTIFACT, LAUNCH, make_node, make_replica
from wire.spec import Origin

MIB = 2**20
GIB = 2**30


def need(placement: Placement = ANYWHERE, **promise: int) -> Need:
    return Need(artifact=ARTIFACT, limits=LAUNCH.limits, placement=placement, promise=Promise(**promise))


def sized(node_id: str, memory_bytes: int, *, cpu_count: int = 8, **labels: str) -> NodeFacts:
    return dataclasses.replace(make_node(node_id), memory_bytes=memory_bytes, cpu_count=cpu_count, labels=labels)


def test_replicas_spread_over_ready_nodes() -> None:
    nodes = [make_node("n1"), make_node("n2"), make_node("n3", NodeState.SUSPECT)]
    assert place(3, nodes, need=need(), loads={}) == ("n1", "n2", "n1")
    assert place(1, nodes, need=need(), loads={}, taken=["n1"]) == ("n2",)


def test_a_node_whose_own_size_is_not_passed_comes_first_then_what_may_be_promised_twice() -> None:
    nodes = [sized("n1", 512 * MIB), sized("n2", GIB)]
    loads = {"n1": Load(1, 500, 512 * MIB)}
    assert place(3, nodes, need=need(memory_percent=200), loads=loads) == ("n2", "n1", "n2")


def test_nothing_is_placed_past_what_may_be_promised_of_cpu_or_memory() -> None:
    assert place(9, [sized("n1", GIB)], need=need(memory_percent=100), loads={}) == ("n1", "n1")
    headroom = need(memory_percent=100, headroom_memory_bytes=1)
    assert place(9, [sized("n1", GIB)], need=headroom, loads={}) == ("n1",)
    cpu = need(cpu_percent=150, headroom_cpu_millis=1000)
    assert place(9, [sized("n1", 99 * GIB, cpu_count=2)], need=cpu, loads={}) == ("n1", "n1", "n1")
    assert compute_room(sized("n1", GIB, cpu_count=2), cpu.promise) == (1500, 3 * GIB)
    assert compute_room(make_node("n1"), cpu.promise) == (None, None)


@pytest.mark.parametrize(
    ("placement", "placed"),
    [
        (Placement(labels={"zone": "a"}), ("n1", "n1")),
        (Placement(labels={"zone": "a", "disk": "ssd"}), ()),
        (Placement(nodes=("n2",)), ("n2", "n2")),
        (Placement(nodes=("nowhere",)), ()),
        (Placement(spread=Spread.REQUIRE), ("n1", "n2")),
        (Placement(spread=Spread.REQUIRE, nodes=("n2",)), ("n2",)),
        (Placement(spread=Spread.PACK), ("n1", "n1")),
    ],
)
def test_labels_names_and_spread_decide_where_two_replicas_go(placement: Placement, placed: tuple[str, ...]) -> None:
    nodes = [sized("n1", 8 * GIB, zone="a"), sized("n2", 8 * GIB, zone="b")]
    assert place(2, nodes, need=need(placement), loads={}) == placed


def test_packed_replicas_go_where_most_runs() -> None:
    nodes = [sized("n1", 8 * GIB), sized("n2", 8 * GIB)]
    packed = need(Placement(spread=Spread.PACK))
    assert place(2, nodes, need=packed, loads={"n2": Load(1, 500, GIB)}) == ("n2", "n2")


def test_an_image_that_comes_from_no_registry_stays_on_its_node() -> None:
    local = dataclasses.replace(need(), artifact=dataclasses.replace(ARTIFACT, origin=Origin.LOCAL))
    assert place(2, [make_node("n1"), make_node("n2")], need=local, loads={}) == ("n1", "n1")


def test_every_node_says_why_it_takes_nothing_more() -> None:
    nodes = [
        make_node("n1", NodeState.DRAINING),
        sized("n2", 8 * GIB, zone="b"),
        sized("n3", GIB, zone="a"),
        sized("n4", 8 * GIB, cpu_count=1, zone="a"),
        sized("n5", 8 * GIB, zone="a"),
    ]
    loads = {"n3": Load(3, 0, 3 * 512 * MIB), "n4": Load(1, 3900, 0)}
    promise = {"headroom_memory_bytes": MIB, "cpu_percent": 400, "memory_percent": 200}
    placement = Placement(labels={"zone": "a"}, spread=Spread.REQUIRE)
    told = explain_shortage(nodes, need=need(placement, **promise), loads=loads, taken=["n5"])
    assert told.split("; ") == [
        "node n1 is draining, last heard at 2026-01-01T00:00:00.000Z",
        "node n2 has zone=b, and zone=a is wanted",
        "node n3 has 510 of 2046 MiB of memory left and 512 are needed",
        "node n4 has 100 of 4000 millicores left and 500 are needed",
        "node n5 runs a replica of the service already",
    ]
    assert explain_shortage([], need=need(), loads={}) == "no node is enrolled"
    assert "; and 1 more" in explain_shortage([*nodes, *nodes[:1]], need=need(placement), loads=loads)


def test_a_build_goes_where_least_is_built_and_the_service_is_known() -> None:
    nodes = [make_node("n1"), make_node("n2"), make_node("n3", NodeState.LOST)]
    assert choose_builder(nodes, loads={}, building={"n1": 1}, serving=["n1"]) == "n2"
    assert choose_builder(nodes, loads={}, building={}, serving=["n2"]) == "n2"
    assert choose_builder(nodes[2:], loads={}, building={}, serving=[]) is None
    loads = compute_loads([make_replica(0, "n1"), make_replica(1, "n1")])
    assert loads == {"n1": Load(2, 1000, GIB)}
    assert choose_builder(nodes, loads=loads, building={}, serving=[]) == "n2"

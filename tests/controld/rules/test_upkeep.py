"""What keeps a promoted deployment running: replaced when lost, never less than before."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from controld.model.node import NodeState
from controld.model.replica import PlacedReplica
from controld.rules.placement import Load, choose_builder, compute_loads, place
from controld.rules.upkeep import UpkeepPlan, is_drained, plan_upkeep
from tests.controld.rules.test_deployment import ARTIFACT, LAUNCH, NOW, make_node, make_replica
from wire.link import ReplicaReport, ReplicaState
from wire.spec import Wanted


def healthy(replica_id: str) -> ReplicaReport:
    return ReplicaReport(id=replica_id, state=ReplicaState.HEALTHY, since_at=NOW)


def plan(replicas: list[PlacedReplica], *nodes: object, count: int = 1) -> UpkeepPlan:
    return plan_upkeep(
        replicas,
        nodes,  # type: ignore[arg-type]
        count=count,
        artifact=ARTIFACT,
        limits=LAUNCH.limits,
        loads={},
    )


def test_nothing_is_done_where_all_is_as_wanted() -> None:
    assert plan([make_replica(0, "n1")], make_node("n1", NodeState.READY, healthy("r0"))) == UpkeepPlan()
    assert plan([make_replica(0, "n1")], make_node("n1", NodeState.SUSPECT), make_node("n2")) == UpkeepPlan()


def test_a_replica_of_a_lost_node_moves_where_there_is_another() -> None:
    lost = make_node("n1", NodeState.LOST)
    assert plan([make_replica(0, "n1")], lost, make_node("n2")) == UpkeepPlan(("n2",), ("r0",))
    assert plan([make_replica(0, "n1")], lost) == UpkeepPlan()


def test_a_draining_node_keeps_its_replica_until_the_new_one_is_healthy() -> None:
    old, new = make_replica(0, "n1"), make_replica(1, "n2")
    draining = make_node("n1", NodeState.DRAINING, healthy("r0"))
    assert plan([old], draining, make_node("n2")) == UpkeepPlan(("n2",), ())
    assert plan([old, new], draining, make_node("n2")) == UpkeepPlan()
    assert plan([old, new], draining, make_node("n2", NodeState.READY, healthy("r1"))) == UpkeepPlan((), ("r0",))


def test_more_are_added_and_surplus_drains_from_the_highest() -> None:
    node = make_node("n1", NodeState.READY, healthy("r0"), healthy("r1"))
    assert plan([make_replica(0, "n1")], node, count=2) == UpkeepPlan(("n1",), ())
    assert plan([make_replica(0, "n1"), make_replica(1, "n1")], node, count=1) == UpkeepPlan((), ("r1",))


@pytest.mark.parametrize(
    ("current", "reported", "seconds", "drained"),
    [(True, False, 1, True), (True, True, 1, False), (False, False, 1, False), (False, True, 200, True)],
)
def test_a_replica_is_forgotten_once_its_node_has(current: bool, reported: bool, seconds: int, drained: bool) -> None:
    replica = dataclasses.replace(make_replica(0, "n1"), wanted=Wanted.DRAINING, draining_at=NOW)
    node = make_node("n1", NodeState.READY, *([healthy("r0")] if reported else []))
    node = dataclasses.replace(node, is_current=current)
    assert is_drained(replica, node, now=NOW + dt.timedelta(seconds=seconds)) is drained
    assert is_drained(replica, None, now=NOW)


def test_replicas_spread_and_prefer_nodes_with_room() -> None:
    nodes = [make_node("n1"), make_node("n2"), make_node("n3", NodeState.SUSPECT)]
    assert place(3, nodes, artifact=ARTIFACT, limits=LAUNCH.limits, loads={}) == ("n1", "n2", "n1")
    assert place(1, nodes, artifact=ARTIFACT, limits=LAUNCH.limits, loads={}, taken=["n1"]) == ("n2",)
    small = [dataclasses.replace(make_node("n1"), memory_bytes=1), make_node("n2")]
    assert place(1, small, artifact=ARTIFACT, limits=LAUNCH.limits, loads={}) == ("n2",)
    assert place(1, small[:1], artifact=ARTIFACT, limits=LAUNCH.limits, loads={}) == ("n1",)
    assert place(1, small[:1], artifact=ARTIFACT, limits=LAUNCH.limits, loads={}, overcommit=False) == ()


def test_a_build_goes_where_least_is_built_and_the_service_is_known() -> None:
    nodes = [make_node("n1"), make_node("n2"), make_node("n3", NodeState.LOST)]
    assert choose_builder(nodes, loads={}, building={"n1": 1}, serving=["n1"]) == "n2"
    assert choose_builder(nodes, loads={}, building={}, serving=["n2"]) == "n2"
    assert choose_builder(nodes[2:], loads={}, building={}, serving=[]) is None
    loads = compute_loads([make_replica(0, "n1"), make_replica(1, "n1")])
    assert loads == {"n1": Load(2, 1000, 2**30)}
    assert choose_builder(nodes, loads=loads, building={}, serving=[]) == "n2"

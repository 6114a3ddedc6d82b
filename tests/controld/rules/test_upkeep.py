"""What keeps a promoted deployment running: replaced when lost, never less than before."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controld.model.fleet import NodeFacts
from controld.model.node import NodeState
from controld.model.placement import ANYWHERE, Placement, Spread
from controld.model.replica import PlacedReplica
from controld.rules.placement import Need, compute_loads
from controld.rules.upkeep import UpkeepPlan, is_drained, is_settled, plan_upkeep
from tests.controld.rules.test_deployment import ARTIFACT, LAUNCH, NOW, make_node, make_replica
from wire.link import ReplicaReport, ReplicaState
from wire.spec import Wanted


def healthy(replica_id: str) -> ReplicaReport:
    return ReplicaReport(id=replica_id, state=ReplicaState.HEALTHY, since_at=NOW, serving=True)


def plan(
    replicas: list[PlacedReplica], *nodes: NodeFacts, count: int = 1, placement: Placement = ANYWHERE
) -> UpkeepPlan:
    need = Need(artifact=ARTIFACT, limits=LAUNCH.limits, placement=placement)
    made = plan_upkeep(replicas, nodes, count=count, need=need, loads=compute_loads(replicas))
    by_id = {node.id: node for node in nodes}
    if is_settled(replicas, by_id, count=count, placement=placement):
        assert made == UpkeepPlan()
    return dataclasses.replace(made, shortage=None)


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


def test_a_replacement_counts_once_its_ingress_leads_to_it() -> None:
    replicas = [make_replica(0, "n1"), make_replica(1, "n2")]
    draining = make_node("n1", NodeState.DRAINING, healthy("r0"))
    unrouted = ReplicaReport(id="r1", state=ReplicaState.HEALTHY, since_at=NOW)
    assert plan(replicas, draining, make_node("n2", NodeState.READY, unrouted)) == UpkeepPlan()


def test_replicas_leave_a_draining_node_one_by_one_as_others_take_over() -> None:
    replicas = [make_replica(0, "n1"), make_replica(1, "n1"), make_replica(2, "n2")]
    draining = make_node("n1", NodeState.DRAINING, healthy("r0"), healthy("r1"))
    ready = make_node("n2", NodeState.READY, healthy("r2"))
    assert plan(replicas, draining, ready, count=2) == UpkeepPlan(("n2",), ("r1",))


def test_a_node_without_the_label_that_is_wanted_is_left_start_first() -> None:
    wanted = Placement(labels={"disk": "ssd"})
    old, new = make_replica(0, "n1"), make_replica(1, "n2")
    here = make_node("n1", NodeState.READY, healthy("r0"))
    there = dataclasses.replace(make_node("n2", NodeState.READY, healthy("r1")), labels={"disk": "ssd"})
    assert plan([old], here, there, placement=wanted) == UpkeepPlan(("n2",), ())
    assert plan([old, new], here, there, placement=wanted) == UpkeepPlan((), ("r0",))
    assert plan([old], here, placement=wanted) == UpkeepPlan()


def test_of_two_replicas_on_a_node_one_moves_when_they_have_to_be_apart() -> None:
    apart = Placement(spread=Spread.REQUIRE)
    both = [make_replica(0, "n1"), make_replica(1, "n1")]
    here = make_node("n1", NodeState.READY, healthy("r0"), healthy("r1"))
    assert plan(both, here, make_node("n2"), count=2, placement=apart) == UpkeepPlan(("n2",), ())
    assert plan(both, here, count=2, placement=apart) == UpkeepPlan()


def test_a_service_scaled_to_none_drains_whole() -> None:
    node = make_node("n1", NodeState.READY, healthy("r0"))
    assert plan([make_replica(0, "n1")], node, count=0) == UpkeepPlan((), ("r0",))


@given(
    st.integers(min_value=0, max_value=4),
    st.lists(st.tuples(st.sampled_from(["n1", "n2", "n3"]), st.sampled_from(["healthy", "serving", "starting"]))),
    st.lists(st.sampled_from(list(NodeState)), min_size=3, max_size=3),
    st.sampled_from(list(Spread)),
)
def test_no_plan_takes_more_that_serves_than_the_rest_makes_good(
    count: int, placed: list[tuple[str, str]], states: list[NodeState], spread: Spread
) -> None:
    replicas = [make_replica(index, node_id) for index, (node_id, _) in enumerate(placed)]
    reports: dict[str, list[ReplicaReport]] = {"n1": [], "n2": [], "n3": []}
    for index, (node_id, state) in enumerate(placed):
        told = ReplicaState.STARTING if state == "starting" else ReplicaState.HEALTHY
        report = ReplicaReport(id=f"r{index}", state=told, since_at=NOW, serving=state == "serving")
        reports[node_id].append(report)
    nodes = [make_node(name, state, *reports[name]) for name, state in zip(reports, states, strict=True)]
    made = plan(replicas, *nodes, count=count, placement=Placement(spread=spread))
    unreachable = {NodeState.LOST, NodeState.REMOVED}
    alive = {node.id for node in nodes if node.state not in unreachable}
    before = [each for each in replicas if each.node_id in alive]
    well = {report.id for found in reports.values() for report in found if report.state is ReplicaState.HEALTHY}
    healthy_before = [each.id for each in before if each.id in well]
    healthy_after = [each for each in healthy_before if each not in made.drain]
    assert len(healthy_after) >= min(count, len(healthy_before))
    assert all(node.state is NodeState.READY for node in nodes if node.id in made.add)


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

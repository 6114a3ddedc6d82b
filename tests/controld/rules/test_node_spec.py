"""What one node should run."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from controld.model.spec_rows import (
    ControlLead,
    FleetRouting,
    HeldCertificate,
    Member,
    ServiceRouting,
    SpecCommon,
    SpecRows,
)
from controld.rules.node_spec import add_routing, lead_to_control, render_node_spec
from wire.spec import Challenge, Health, Limits, Origin, Peer, Replica, Wanted, compute_digest


def replica(id: str, *, service: str = "s-1", deployment: str = "d-1", wanted: Wanted = Wanted.RUNNING) -> Replica:
    return Replica(
        id=id,
        service_id=service,
        deployment_id=deployment,
        project="default",
        service="web",
        index=0,
        image="x",
        origin=Origin.LOCAL,
        port=80,
        health=Health(path="/", timeout_seconds=5),
        limits=Limits(cpu_millis=100, memory_bytes=1),
        wanted=wanted,
    )


SERVICE = ServiceRouting(service_id="s-1", service="web", promoted_deployment_id="d-1", hosts=("b.test", "a.test"))


def test_a_route_leads_to_the_running_replicas_of_the_promoted_deployment_only() -> None:
    rows = SpecRows(
        node_id="n-1",
        replicas=(
            replica("r-1"),
            replica("r-2", wanted=Wanted.DRAINING),
            replica("r-3", deployment="d-2"),
            replica("r-4", service="s-2"),
        ),
        services=(SERVICE,),
    )

    spec = render_node_spec(rows)

    assert [(route.key, route.hosts, route.replicas) for route in spec.routes] == [
        ("svc-s-1", ("a.test", "b.test"), ("r-1",))
    ]
    assert {each.id for each in spec.replicas} == {"r-1", "r-2", "r-3", "r-4"}


def test_a_service_that_sleeps_has_a_route_that_wakes_it_where_there_is_a_host_and_a_release() -> None:
    asleep = dataclasses.replace(SERVICE, is_asleep=True)
    (route,) = render_node_spec(SpecRows(node_id="n-1", replicas=(), services=(asleep,))).routes
    assert (route.asleep, route.hosts, route.replicas) == (True, ("a.test", "b.test"), ())
    for service in (
        dataclasses.replace(asleep, promoted_deployment_id=None),
        dataclasses.replace(asleep, hosts=()),
    ):
        assert render_node_spec(SpecRows(node_id="n-1", replicas=(), services=(service,))).routes == ()


def test_what_sleeps_is_led_to_by_nodes_that_lead_and_by_those_that_speak_with_no_other() -> None:
    routing = FleetRouting(services=(dataclasses.replace(SERVICE, is_asleep=True),), replicas={})
    rows = SpecRows(node_id="n-1", replicas=(), services=())
    for members, count in (
        ([], 1),
        ([Member(id="n-1", address="10.0.0.1", port=7192, leads=True)], 1),
        ([Member(id="n-1", address="10.0.0.1", port=7192, leads=False)], 0),
    ):
        assert len(render_node_spec(add_routing(rows, routing, members)).routes) == count


def test_there_is_no_route_before_a_promotion_or_without_a_host() -> None:
    for service in (
        dataclasses.replace(SERVICE, promoted_deployment_id=None),
        dataclasses.replace(SERVICE, promoted_deployment_id="d-9"),
        dataclasses.replace(SERVICE, hosts=()),
    ):
        rows = SpecRows(node_id="n-1", replicas=(replica("r-1"),), services=(service,))
        assert render_node_spec(rows).routes == ()


@given(order=st.randoms())
def test_the_order_of_the_facts_does_not_show(order: random.Random) -> None:
    replicas = [replica(f"r-{n}", service=f"s-{n % 2}") for n in range(6)]
    services = [dataclasses.replace(SERVICE, service_id=f"s-{n}") for n in range(2)]
    challenges = [Challenge(path=f"/.well-known/x/{n}", body="") for n in range(3)]

    def render() -> str:
        rows = SpecRows(node_id="n-1", replicas=tuple(replicas), services=tuple(services))
        return compute_digest(render_node_spec(rows, common=SpecCommon(challenges=tuple(challenges))))

    first = render()
    order.shuffle(replicas)
    order.shuffle(services)
    order.shuffle(challenges)
    assert render() == first


def test_a_node_gets_the_certificates_of_hosts_it_leads_to_and_keeps_those_whose_key_stays_shut() -> None:
    held = tuple(HeldCertificate(host=f"{n}.test", chain_pem=f"chain {n}", key_ref=f"ref-{n}") for n in ("b", "a"))
    own = HeldCertificate(host="control.test", chain_pem="own chain", key_ref="ref-own")
    rows = SpecRows(node_id="n-1", replicas=(), services=(dataclasses.replace(SERVICE, certificates=held),))
    keys = {"ref-a": "key a", "ref-own": "own key"}
    common = SpecCommon(control_certificate=own)
    spec = render_node_spec(
        rows, common=common, keys=keys, control_domain="control.test", control=ControlLead(address="127.0.0.1:7180")
    )
    assert [(each.host, each.chain_pem, each.key_pem) for each in spec.certificates] == [
        ("a.test", "chain a", "key a"),
        ("b.test", "", ""),
        ("control.test", "own chain", "own key"),
    ]
    far = render_node_spec(rows, common=common, keys=keys, control_domain="control.test")
    assert [each.host for each in far.certificates] == ["a.test", "b.test"]


def test_a_node_that_does_not_reach_controld_hands_over_to_one_that_does() -> None:
    def locate(address: str) -> str | None:
        return "127.0.0.1:7180" if address == "10.0.0.1" else None

    near = Member(id="n-1", address="10.0.0.1", port=7192, leads=True)
    far = Member(id="n-2", address="10.0.0.2", port=7192, leads=True)
    silent = Member(id="n-3", address="10.0.0.3", port=7192, leads=False)
    members = (near, far, silent)

    def lead(node: Member, of: tuple[Member, ...] = members) -> ControlLead:
        rows = SpecRows(node_id=node.id, replicas=(), services=(), address=node.address)
        return lead_to_control(rows, of, locate=locate)

    assert lead(near) == ControlLead(address="127.0.0.1:7180", shared=True)
    assert lead(far).peers == (Peer(node_id="n-1", address="10.0.0.1", port=7192, weight=1),)
    assert lead(silent) == ControlLead()
    assert lead(near, (near, silent)) == ControlLead(address="127.0.0.1:7180")
    assert lead(near, ()) == ControlLead(address="127.0.0.1:7180")
    assert lead(far, (far, silent)) == ControlLead()

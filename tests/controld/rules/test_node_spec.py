"""What one node should run."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from controld.model.spec_rows import ServiceRouting, SpecRows
from controld.rules.node_spec import render_node_spec
from wire.spec import Challenge, Health, Limits, Origin, Replica, Wanted, compute_digest


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
        return compute_digest(render_node_spec(rows, challenges=tuple(challenges)))

    first = render()
    order.shuffle(replicas)
    order.shuffle(services)
    order.shuffle(challenges)
    assert render() == first

"""A replica's container has a name of its own, our labels, and a digest of what it is made from."""

from __future__ import annotations

import msgspec

from agent.model import labels
from agent.rules.containers import (
    compute_container_digest,
    find_replica_id,
    locate_image,
    name_container,
    render_container,
)
from tests.agent.rules.world import NODE, make_container, make_replica
from wire.spec import Origin, Wanted

ONE = make_replica("01920000-aaaa-7000-8000-0000000000a1")
OTHER = make_replica("01920000-aaaa-7000-8000-0000000000b2")


def test_replicas_made_in_one_millisecond_have_containers_of_different_names() -> None:
    assert name_container(ONE) == "moorage-web-0-0000000000a1"
    assert name_container(ONE) != name_container(OTHER)


def test_the_digest_names_what_a_container_is_made_from_and_nothing_else() -> None:
    digest = compute_container_digest(ONE)
    assert compute_container_digest(msgspec.structs.replace(ONE, wanted=Wanted.DRAINING, drain_seconds=1.0)) == digest
    assert compute_container_digest(msgspec.structs.replace(ONE, env=(("A", "1"),))) != digest
    assert compute_container_digest(msgspec.structs.replace(ONE, image="sha256:other")) != digest


def test_the_container_carries_our_labels_and_the_last_of_a_repeated_variable() -> None:
    replica = msgspec.structs.replace(ONE, env=(("A", "1"), ("B", "2"), ("A", "3")))
    spec = render_container(replica, node_id=NODE, network="n", image="i")
    assert dict(spec.env) == {"A": "3", "B": "2"}
    assert dict(spec.labels)[labels.REPLICA] == replica.id
    assert dict(spec.labels)[labels.NODE] == NODE


def test_a_hosted_image_is_pulled_through_the_agents_own_relay() -> None:
    hosted = msgspec.structs.replace(ONE, origin=Origin.HOSTED, image="shop/web@sha256:aa")
    assert locate_image(hosted, registry_port=7191) == "127.0.0.1:7191/shop/web@sha256:aa"
    assert locate_image(ONE, registry_port=7191) == ONE.image


def test_a_container_is_ours_only_with_this_nodes_label_and_a_replicas() -> None:
    assert find_replica_id(make_container("c", ONE), node_id=NODE) == ONE.id
    assert find_replica_id(make_container("c", ONE, node="another"), node_id=NODE) is None

"""Endpoints that speak TCP have one public port each, which stays."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from controld.model.service import Protocol, ServiceEndpoint
from controld.rules.endpoints import assign_ports, find_clash, list_public_ports, list_tcp_ports, parse_ports
from kit.faults import Invalid
from wire.spec import TcpPort

_ALLOWED = range(20000, 20004)


def tcp(name: str, port: int | None = None, *, internal_port: int = 5432) -> ServiceEndpoint:
    return ServiceEndpoint(name=name, protocol=Protocol.TCP, internal_port=internal_port, public_port=port)


def assign(*asked: ServiceEndpoint, stored: tuple[ServiceEndpoint, ...] = (), taken: Collection[int] = ()) -> list[int]:
    return list_public_ports(assign_ports(asked, stored, taken=taken, allowed=_ALLOWED))


@pytest.mark.parametrize("text", ["20000-29999", "1024-55535", "20000-20000"])
def test_a_range_of_ports_has_both_its_ends(text: str) -> None:
    first, _, last = text.partition("-")
    assert parse_ports(text) == range(int(first), int(last) + 1)


@pytest.mark.parametrize("text", ["", "20000", "20000-", "-1-5", "a-b", "1023-2000", "3000-2000", "50000-55536"])
def test_what_is_no_range_of_ports_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_ports(text)


def test_a_given_port_is_kept_and_others_get_the_first_free_ones() -> None:
    assert assign(tcp("a"), tcp("b", 20000), tcp("c")) == [20001, 20000, 20002]
    assert assign(tcp("a"), taken={20000, 20001}) == [20002]


def test_an_endpoint_keeps_the_port_it_has_under_its_name() -> None:
    stored = (tcp("a", 20003), tcp("b", 20001))
    assert assign(tcp("b"), tcp("a"), stored=stored) == [20001, 20003]
    assert assign(tcp("c"), tcp("b"), stored=(tcp("b", 20000),)) == [20001, 20000]


def test_a_port_that_is_given_to_another_endpoint_of_the_service_moves() -> None:
    assert assign(tcp("a"), tcp("b", 20003), stored=(tcp("a", 20003),)) == [20000, 20003]


def test_a_port_from_before_the_range_was_changed_can_be_saved_again() -> None:
    assert assign(tcp("a", 30000), stored=(tcp("a", 30000),)) == [30000]


@pytest.mark.parametrize("asked", [(tcp("a", 19999),), (tcp("a", 20004),), (tcp("a", 20001), tcp("b", 20001))])
def test_ports_outside_the_range_or_twice_are_refused(asked: tuple[ServiceEndpoint, ...]) -> None:
    with pytest.raises(Invalid, match="public_port"):
        assign(*asked)


def test_no_port_left_is_said() -> None:
    with pytest.raises(Invalid, match="all ports from 20000 to 20003 are taken"):
        assign(tcp("a"), taken=set(_ALLOWED))


def test_a_clash_is_found_among_what_is_given() -> None:
    assert find_clash((tcp("a"), tcp("b", 20001)), {20001}) == 20001
    assert find_clash((tcp("a"), tcp("b", 20001)), {20000}) is None


def test_nodes_hear_of_tcp_endpoints_by_port() -> None:
    http = ServiceEndpoint(name="web", protocol=Protocol.HTTP, internal_port=80)
    assert list_tcp_ports((tcp("b", 20001, internal_port=2), http, tcp("a", 20000, internal_port=1), tcp("c"))) == (
        TcpPort(port=20000, internal_port=1),
        TcpPort(port=20001, internal_port=2),
    )

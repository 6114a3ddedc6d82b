"""Hostnames are looked up where the operator says."""

from __future__ import annotations

import ipaddress

from controld.gateways.addresses import is_own_address
from controld.gateways.resolver import ServerResolver, SystemResolver
from tests.fixtures.network import find_free_port
from tests.nameserver import running_nameserver


async def test_name_servers_are_asked_for_every_address() -> None:
    records = {"a.example.com": ("127.0.0.5", "::1", "10.0.0.1"), "six.example.com": ("::1",)}
    async with running_nameserver(records) as server:
        resolver = ServerResolver([f"127.0.0.1:{server.port}"])
        found = await resolver.resolve("a.example.com")
        assert {str(address) for address in found} == {"127.0.0.5", "10.0.0.1", "::1"}
        assert found[-1] == ipaddress.ip_address("::1")
        assert await resolver.resolve("six.example.com") == [ipaddress.ip_address("::1")]
        assert await resolver.resolve("nowhere.example.com") == []
        assert set(server.asked) == {"a.example.com", "six.example.com", "nowhere.example.com"}


async def test_name_servers_that_do_not_answer_know_nothing() -> None:
    assert await ServerResolver([f"127.0.0.1:{find_free_port()}"], timeout_seconds=0.3).resolve("a.example.com") == []


async def test_without_name_servers_this_machine_is_asked() -> None:
    assert ipaddress.ip_address("127.0.0.1") in await SystemResolver().resolve("localhost")


def test_an_address_is_own_when_this_machine_could_listen_there() -> None:
    assert is_own_address("127.0.0.1")
    assert is_own_address("127.9.9.9")
    assert not is_own_address("192.0.2.7")
    assert not is_own_address("node-1")
    assert not is_own_address("")

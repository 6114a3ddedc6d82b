"""No reference leads the engine inside a network, whatever its host is called."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from agent.core.faults import RegistryInside
from agent.core.registry_guard import RegistryGuard
from kit.addresses import Address

_OWN = "127.0.0.1:7191"


def _guard(*answers: Sequence[str], own: str = _OWN) -> RegistryGuard:
    """A guard whose lookups are answered in turn, the last for ever."""
    left = list(answers)

    async def look_up(host: str) -> Sequence[Address]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [ipaddress.ip_address(each) for each in found]

    return RegistryGuard(look_up, own=own)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.5", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "224.0.0.1", "255.255.255.255"),
    ],
)
async def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    with pytest.raises(RegistryInside, match="allow_private_registries"):
        await _guard([address]).check("registry.example/team/app:1")
    with pytest.raises(RegistryInside):
        await _guard(["192.0.43.8", address]).check("registry.example:5000/team/app@sha256:" + "a" * 64)


async def test_a_name_that_leads_inside_the_second_time_is_refused() -> None:
    with pytest.raises(RegistryInside):
        await _guard(["192.0.43.8"], ["127.0.0.1"]).check("registry.example/team/app:1")


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "10.0.0.1", "[::1]:5000", "[::ffff:10.0.0.1]:1", "127.1:80"])
async def test_an_address_inside_is_refused_without_a_lookup(host: str) -> None:
    with pytest.raises(RegistryInside):
        await _guard(["192.0.43.8"]).check(f"{host}/team/app:1")


@pytest.mark.parametrize("reference", ["nginx:1.27", "team/app", "docker.io/library/nginx:1", f"{_OWN}/shop/web:1"])
async def test_the_default_registry_and_the_hosted_one_are_not_judged(reference: str) -> None:
    await _guard(["127.0.0.1"]).check(reference)


async def test_a_registry_of_the_world_may_be_pulled_from() -> None:
    await _guard(["192.0.43.8", "2606:2800:220:1::1"]).check("registry.example/team/app:1")


async def test_a_name_without_an_address_is_left_for_the_engine_to_complain_about() -> None:
    await _guard([]).check("nowhere.example/team/app:1")


async def test_the_setting_lets_registries_stand_inside() -> None:
    guard = _guard(["10.0.0.1"])
    allowed = False
    guard.attach(allows_private=lambda: allowed)
    with pytest.raises(RegistryInside):
        await guard.check("registry.example/a:1")
    allowed = True
    await guard.check("registry.example/a:1")

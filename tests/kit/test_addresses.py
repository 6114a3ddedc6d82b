"""What leads inside is told from what leads out."""

from __future__ import annotations

import ipaddress

import pytest

from kit.addresses import is_internal, parse_address


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1"])
def test_an_address_of_the_world_is_outside(text: str) -> None:
    assert not is_internal(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "0.1.2.3"),
        *("255.255.255.255", "224.0.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fd00::1", "ff02::1"),
        *("::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1"),
    ],
)
def test_what_leads_to_this_machine_or_its_network_is_inside(text: str) -> None:
    assert is_internal(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("name", "address"),
    [
        *(("127.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f.0.0.1", "127.0.0.1"), ("0177.1", "127.0.0.1")),
        *(("example.com", None), ("1.2.3.4.5", None), ("256.1.1.1", None), ("4294967296", None)),
    ],
)
def test_every_spelling_of_an_address_is_read(name: str, address: str | None) -> None:
    assert parse_address(name) == (None if address is None else ipaddress.ip_address(address))

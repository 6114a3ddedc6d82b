"""Network counters are summed over everything but loopback."""

from __future__ import annotations

from agent.rules.network import parse_net_dev

_HEAD = b"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
"""  # noqa: E501 - as the kernel writes it
_LO = b"    lo:     900      23    0    0    0     0          0         0      900       8    0    0    0     0       0          0\n"  # noqa: E501
_ETH0 = _LO.replace(b"    lo:     900", b"  eth0:    1797")
_ETH1 = _LO.replace(b"    lo:     900", b"  eth1:3")


def test_bytes_are_summed_over_all_interfaces_but_loopback() -> None:
    assert parse_net_dev(_HEAD + _LO + _ETH0 + _ETH1) == (1800, 1800)


def test_a_container_without_interfaces_has_no_counters() -> None:
    assert parse_net_dev(_HEAD + _LO) is None
    assert parse_net_dev(b"") is None
    assert parse_net_dev(_HEAD + b"  eth0: 1 2 3\n") is None

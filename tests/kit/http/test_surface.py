"""Whose word on the client's address counts."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request

from kit.http.surface import peer_of


@pytest.mark.parametrize(
    ("remote", "forwarded", "peer"),
    [
        ("127.0.0.1", "192.0.2.7, 10.0.0.1", "192.0.2.7"),
        ("127.8.8.8", "192.0.2.7", "192.0.2.7"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("198.51.100.1", "192.0.2.7", "198.51.100.1"),
        ("2001:db8::1", "192.0.2.7", "2001:db8::1"),
        ("10.0.0.1", "127.0.0.1", "10.0.0.1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", None, "127.0.0.1"),
    ],
)
def test_a_forwarded_address_is_taken_from_this_machine_alone(remote: str, forwarded: str | None, peer: str) -> None:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (remote, 1) if name == "peername" else default
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert peer_of(make_mocked_request("GET", "/", headers=headers, transport=transport)) == peer

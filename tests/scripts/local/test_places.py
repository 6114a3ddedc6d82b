"""Ports are chosen once, are free, and secrets are closed to others."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import msgspec

from scripts.local.places import Places, choose_ports, read_ports


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = choose_ports(None, api=None, http=taken.getsockname()[1] + 1, https=None)
        with socket.socket() as holds_api:
            holds_api.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holds_api.bind(("127.0.0.1", first.api))
            holds_api.listen()
            assert choose_ports(None, api=None, http=None, https=None).api != first.api


def test_every_port_is_another() -> None:
    ports = msgspec.structs.asdict(choose_ports(None, api=None, http=None, https=None))
    assert len(set(ports.values())) == len(ports)


def test_a_second_run_keeps_its_ports_and_takes_those_asked_for(tmp_path: Path) -> None:
    places = Places(tmp_path)
    assert read_ports(places) is None
    first = choose_ports(None, api=None, http=None, https=None)
    places.ports.write_bytes(msgspec.json.encode(first))
    again = choose_ports(read_ports(places), api=None, http=18080, https=None)
    assert again == msgspec.structs.replace(first, http=18080)


def test_a_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    places = Places(tmp_path / "state")
    places.make()
    places.write_secret(places.admin_token, "secret\n")
    assert stat.S_IMODE(places.admin_token.stat().st_mode) == 0o600
    assert stat.S_IMODE(places.state.stat().st_mode) == 0o700

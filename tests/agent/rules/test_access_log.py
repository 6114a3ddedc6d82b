"""Access log datagrams: what becomes a record, and what of a path is kept."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.requests import AccessEntry
from agent.rules.access_log import parse_access_log, sanitise_path

LINE: dict[str, object] = {
    "at_ms": 1_767_225_600_250,
    "host": "a.test",
    "route": "svc-1",
    "server": "r1",
    "method": "GET",
    "path": "/things",
    "status": 200,
    "bytes": 12,
    "duration_ms": 3,
    "end": "--",
}


def test_a_whole_datagram_becomes_a_record() -> None:
    assert parse_access_log(json.dumps(LINE).encode() + b"\n") == AccessEntry(
        route="svc-1",
        host="a.test",
        replica="r1",
        method="GET",
        path="/things",
        status=200,
        bytes=12,
        duration_ms=3,
        recorded_at=dt.datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=dt.UTC),
        termination="--",
    )


@pytest.mark.parametrize("server", ["<NOSRV>", "wake-s-1"])
def test_a_request_without_answer_has_status_0_no_duration_and_no_replica(server: str) -> None:
    entry = parse_access_log(
        json.dumps({**LINE, "status": -1, "duration_ms": -1, "bytes": 0, "server": server}).encode()
    )
    assert entry is not None
    assert (entry.status, entry.duration_ms, entry.replica) == (0, None, None)


@pytest.mark.parametrize(("end", "status"), [("CH", 0), ("CC", 0), ("CD", 400), ("cR", 400), ("SC", 400)])
def test_a_client_that_leaves_before_an_answer_has_status_0(end: str, status: int) -> None:
    entry = parse_access_log(json.dumps({**LINE, "status": 400, "end": end}).encode())
    assert entry is not None
    assert entry.status == status


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"Server p0000/r1 is DOWN",
        json.dumps({**LINE, "status": "x"}).encode(),
        json.dumps({**LINE, "at_ms": 10**18}).encode(),
        json.dumps({**LINE, "route": "-"}).encode(),
        json.dumps(LINE).encode()[:-3],
    ],
)
def test_anything_else_is_no_record(datagram: bytes) -> None:
    assert parse_access_log(datagram) is None


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise(datagram: bytes) -> None:
    parse_access_log(datagram)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?token=secret", "/a/b"),
        ("/a#b", "/a"),
        ("/users/0190b3e4-8c1f-7c3a-9b1e-2f5d8f6a7b8c/x", "/users/{id}/x"),
        ("/users/0190B3E4-8C1F-7C3A-9B1E-2F5D8F6A7B8C", "/users/{id}"),
        (f"/reset/{'ab' * 17}/x", "/reset/{token}/x"),
        (f"/reset/{'ab' * 16}", f"/reset/{'ab' * 16}"),
        (f"/reset/{'zz' * 20}", f"/reset/{'zz' * 20}"),
        ("http://a.test/things", "/things"),
        ("http://a.test", "/"),
        ("*", "*"),
        ("/", "/"),
    ],
)
def test_paths_keep_their_shape_and_lose_their_secrets(target: str, path: str) -> None:
    assert sanitise_path(target) == path

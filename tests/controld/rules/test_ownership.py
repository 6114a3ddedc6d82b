"""What proves a hostname's ownership, and which addresses are never asked for it."""

from __future__ import annotations

import ipaddress

import pytest

from controld.model.hostname import HostnameStatus
from controld.model.ownership import Proof
from controld.rules.hostnames import make_hostname
from controld.rules.ownership import conclude, find_problem, parse_server, pick_address
from kit.addresses import Address
from tests.fakes.clock import FakeClock

TOKEN = "a" * 64
OUTSIDE = "93.184.216.34"


def addresses(*texts: str) -> list[Address]:
    return [ipaddress.ip_address(text) for text in texts]


@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "0.1.2.3",
        "255.255.255.255",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "::",
        "fd00::1",
        "fe80::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_one_answer_that_leads_inside_is_one_too_many(inside: str) -> None:
    assert pick_address(addresses(inside)) is None
    assert pick_address(addresses(OUTSIDE, inside)) is None
    assert pick_address(addresses(inside, OUTSIDE)) is None


def test_the_first_answer_is_asked_and_no_answer_is_none() -> None:
    assert pick_address(addresses(OUTSIDE, "1.1.1.1")) == ipaddress.ip_address(OUTSIDE)
    assert pick_address(addresses("2606:4700::1111")) == ipaddress.ip_address("2606:4700::1111")
    assert pick_address([]) is None


def test_networks_that_the_operator_allows_count_as_outside_and_no_others() -> None:
    allowed = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
    assert pick_address(addresses("10.1.2.3"), allowed=allowed) == ipaddress.ip_address("10.1.2.3")
    assert pick_address(addresses("fd00::1", OUTSIDE), allowed=allowed) == ipaddress.ip_address("fd00::1")
    assert pick_address(addresses("10.1.2.3", "192.168.0.1"), allowed=allowed) is None


@pytest.mark.parametrize(
    ("proof", "problem"),
    [
        (Proof(status=200, body=TOKEN.encode()), None),
        (Proof(status=204, body=TOKEN.encode() + b"\n"), None),
        (Proof(status=200, body=TOKEN.encode() + b"\n\n"), "body mismatch"),
        (Proof(status=200, body=b"\xff" * 64), "body mismatch"),
        (Proof(status=200), "body mismatch"),
        (Proof(status=302), "http 302"),
        (Proof(status=404, body=TOKEN.encode()), "http 404"),
        (Proof(problem="connection timeout"), "connection timeout"),
    ],
)
def test_only_the_token_with_at_most_one_newline_proves_ownership(proof: Proof, problem: str | None) -> None:
    assert find_problem(proof, TOKEN) == problem


def test_a_failure_takes_nothing_but_the_verification_away() -> None:
    now = FakeClock().now()
    fresh = make_hostname("a.example.com", "s1", hostname_id="h1", challenge_token=TOKEN, now=now)
    failed = conclude(fresh, "http 404", now=now)
    assert (failed.status, failed.verified_at, failed.last_check_at, failed.last_error) == (
        HostnameStatus.FAILED,
        None,
        now,
        "http 404",
    )
    verified = conclude(failed, None, now=now)
    assert (verified.status, verified.verified_at, verified.last_error) == (HostnameStatus.VERIFIED, now, None)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("9.9.9.9", ("9.9.9.9", 53)),
        (" 127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("2620:fe::fe", ("2620:fe::fe", 53)),
        ("[2620:fe::fe]:54", ("2620:fe::fe", 54)),
    ],
)
def test_a_name_server_has_an_address_and_may_have_a_port(text: str, server: tuple[str, int]) -> None:
    assert parse_server(text) == (ipaddress.ip_address(server[0]), server[1])


@pytest.mark.parametrize("text", ["", "dns.example.com", "1.2.3.4:0", "1.2.3.4:x", "1.2.3.4:99999"])
def test_a_name_server_without_an_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_server(text)

"""Decides whether a hostname's owner has shown that it leads here, and which addresses may be asked for that."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hmac
import ipaddress
from collections.abc import Sequence
from typing import Final

from controld.model.hostname import Hostname, HostnameStatus
from controld.model.ownership import Proof
from kit.addresses import Address, is_internal

CHALLENGE_PATH: Final = "/.well-known/denia-challenge/"
LOOKUP_FAILED: Final = "dns lookup failed"
REFUSED: Final = "connection refused"
TIMED_OUT: Final = "connection timeout"
TOO_LARGE: Final = "body too large"
_NAME_SERVER_PORT: Final = 53

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def pick_address(answers: Sequence[Address], *, allowed: Sequence[Network] = ()) -> Address | None:
    """The address to ask: the first of the answers, or None when there is none or any of them leads inside.

    Networks that the operator has allowed count as outside.
    """
    for address in answers:
        if is_internal(address) and not any(address in network for network in allowed):
            return None
    return answers[0] if answers else None


def find_problem(proof: Proof, token: str) -> str | None:
    """Why the answer does not prove ownership, or None when it does."""
    if proof.problem is not None:
        return proof.problem
    if not 200 <= proof.status < 300:
        return f"http {proof.status}"
    return None if hmac.compare_digest(proof.body.removesuffix(b"\n"), token.encode()) else "body mismatch"


def conclude(hostname: Hostname, problem: str | None, *, now: dt.datetime) -> Hostname:
    """The hostname after a check."""
    return dataclasses.replace(
        hostname,
        status=HostnameStatus.VERIFIED if problem is None else HostnameStatus.FAILED,
        verified_at=now if problem is None else None,
        last_check_at=now,
        last_error=problem,
    )


def parse_server(text: str) -> tuple[Address, int]:
    """The address and the port that a name server's text says; raises ValueError."""
    bare = text.strip()
    try:
        return ipaddress.ip_address(bare.strip("[]")), _NAME_SERVER_PORT
    except ValueError:
        name, _, port = bare.rpartition(":")
        number = int(port)
        if not 0 < number < 65536:
            raise ValueError(f"{text!r} names no port from 1 to 65535") from None
        return ipaddress.ip_address(name.strip("[]")), number

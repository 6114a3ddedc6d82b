"""Decides at which public ports services take TCP connections."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from controld.model.service import Protocol, ServiceEndpoint
from kit.faults import Invalid
from wire.spec import PEER_PORT_OFFSET, TcpPort

_LEAST = 1024
_MOST = 65535 - PEER_PORT_OFFSET


def parse_ports(text: str) -> range:
    """The ports of `first-last`, both included; raises ValueError with what is wrong."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and text.isascii()):
        raise ValueError("must be first-last, such as 20000-29999")
    if not _LEAST <= int(first) <= int(last) <= _MOST:
        raise ValueError(f"must go upwards from {_LEAST} at the least to {_MOST} at the most")
    return range(int(first), int(last) + 1)


def list_public_ports(endpoints: Iterable[ServiceEndpoint]) -> list[int]:
    """The public ports of those that have one, in their order."""
    return [endpoint.public_port for endpoint in endpoints if endpoint.public_port is not None]


def list_tcp_ports(endpoints: Iterable[ServiceEndpoint]) -> tuple[TcpPort, ...]:
    """What nodes hear of the endpoints that speak TCP, by port."""
    found = {
        endpoint.public_port: TcpPort(port=endpoint.public_port, internal_port=endpoint.internal_port)
        for endpoint in endpoints
        if endpoint.protocol is Protocol.TCP and endpoint.public_port is not None
    }
    return tuple(found[port] for port in sorted(found))


def find_clash(asked: Iterable[ServiceEndpoint], taken: Collection[int]) -> int | None:
    """The first public port of the asked that others have."""
    return next((port for port in list_public_ports(asked) if port in taken), None)


def assign_ports(
    asked: tuple[ServiceEndpoint, ...], stored: Iterable[ServiceEndpoint], *, taken: Collection[int], allowed: range
) -> tuple[ServiceEndpoint, ...]:
    """The endpoints, each that speaks TCP with its public port: the one given, else what it has, else the first free.

    Others have the `taken` ones. Raises Invalid for a port outside the allowed that the service does not have already,
    for one that is given twice, and when all are taken.
    """
    own = {endpoint.name: port for endpoint in stored if (port := endpoint.public_port) is not None}
    given = list_public_ports(asked)
    if len(set(given)) != len(given):
        raise Invalid("cannot save endpoints: two have the same public_port")
    for port in given:
        if port not in allowed and port not in own.values():
            raise Invalid(f"cannot save endpoints: public_port must be from {allowed[0]} to {allowed[-1]}, or null")
    busy = {*taken, *given}
    found: list[ServiceEndpoint] = []
    for endpoint in asked:
        if endpoint.protocol is Protocol.TCP and endpoint.public_port is None:
            port = own.get(endpoint.name)
            if port is None or port in busy:
                port = next((each for each in allowed if each not in {*busy, *own.values()}), None)
            if port is None:
                raise Invalid(f"cannot save endpoints: all ports from {allowed[0]} to {allowed[-1]} are taken")
            busy.add(port)
            found.append(dataclasses.replace(endpoint, public_port=port))
        else:
            found.append(endpoint)
    return tuple(found)

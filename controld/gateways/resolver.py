"""Looks hostnames up: as this machine does, or at name servers that the operator names."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Protocol

from controld.rules.ownership import parse_server
from kit.addresses import Address


class Resolver(Protocol):
    """Tells the addresses of a hostname."""

    async def resolve(self, hostname: str) -> list[Address]:
        """Every address, in the order in which to try them; none when it has none or cannot be looked up."""
        ...


class SystemResolver:
    """Looks up as other programs of this machine do, its hosts file included."""

    async def resolve(self, hostname: str) -> list[Address]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(hostname, 80, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


class ServerResolver:
    """Asks these name servers, `address` or `address:port`, for A and AAAA records."""

    def __init__(self, servers: Sequence[str], *, timeout_seconds: float = 5.0) -> None:
        self._servers = [parse_server(server) for server in servers]
        self._timeout_seconds = timeout_seconds

    async def resolve(self, hostname: str) -> list[Address]:
        from dns.asyncresolver import Resolver as Asker
        from dns.exception import DNSException
        from dns.nameserver import Do53Nameserver

        asker = Asker(configure=False)
        asker.nameservers = [Do53Nameserver(str(address), port) for address, port in self._servers]
        try:
            found = await asker.resolve_name(f"{hostname}.", lifetime=self._timeout_seconds)
        except (DNSException, OSError):
            return []
        return sorted((ipaddress.ip_address(each) for each in found.addresses()), key=lambda each: each.version)

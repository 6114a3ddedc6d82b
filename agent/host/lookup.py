"""Looks hostnames up as the node's engine does."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

from kit.addresses import Address


async def look_up(host: str) -> Sequence[Address]:
    """Every address of the name; none when it has none, or nobody can be asked."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]

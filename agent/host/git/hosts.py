"""Finds the addresses of repositories' hosts, so that git dials what was looked at and nothing inside."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

from agent.core.faults import GitHostRefused
from kit.addresses import is_internal, parse_address
from kit.git_url import GitUrl

_SECONDS: Final = 10.0


async def find_addresses(url: GitUrl, *, allow_private: bool) -> tuple[str, ...]:
    """Every address of the host, in the order to be tried; raises GitHostRefused when one of them leads inside."""
    literal = parse_address(url.host)
    found = (str(literal),) if literal is not None else await _look_up(url)
    if not allow_private and any(is_internal(ipaddress.ip_address(each)) for each in found):
        raise GitHostRefused(
            f"cannot clone from {url.host}: its address is inside a network; an operator may allow that by the setting "
            "allow_private_git_hosts of controld"
        )
    return found


async def _look_up(url: GitUrl) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_SECONDS):
            found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise GitHostRefused(f"cannot clone from {url.host}: its name is not found in {_SECONDS:g} seconds") from error
    except OSError as error:
        raise GitHostRefused(f"cannot clone from {url.host}: its name is not found: {error.strerror}") from error
    addresses = tuple(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))
    if not addresses:
        raise GitHostRefused(f"cannot clone from {url.host}: its name has no address")
    return addresses

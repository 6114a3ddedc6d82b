"""Which addresses are this machine's own."""

from __future__ import annotations

import functools
import ipaddress
import socket


@functools.lru_cache(maxsize=1024)
def is_own_address(address: str) -> bool:
    """Whether a program on this machine could listen at the address."""
    try:
        family = socket.AF_INET if ipaddress.ip_address(address).version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True

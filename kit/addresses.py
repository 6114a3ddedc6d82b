"""Which network addresses lead inside: to this machine, its network, or a carrier's."""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SHARED: Final = ipaddress.ip_network("100.64.0.0/10")
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")


def is_internal(address: Address) -> bool:
    """Whether an address is loopback, private, link-local, unspecified, broadcast, multicast or carrier-shared.

    An IPv6 address that carries an IPv4 one is judged by that.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if carried is None and address in _TRANSLATED:
            carried = ipaddress.IPv4Address(address.packed[-4:])
        if carried is not None:
            address = carried
    if isinstance(address, ipaddress.IPv4Address) and (address in _SHARED or address.packed[0] == 0):
        return True
    return (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
    )


def parse_address(name: str) -> Address | None:
    """The address that a name spells, the short and numeric spellings of IPv4 included, or None for a host name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass
    parts = name.lower().rstrip(".").split(".")
    try:
        numbers = [_parse_number(part) for part in parts]
    except ValueError:
        return None
    if not 1 <= len(numbers) <= 4 or any(number > 255 for number in numbers[:-1]):
        return None
    value = numbers[-1]
    for position, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - position))
    return ipaddress.IPv4Address(value) if value < 2**32 else None


def _parse_number(part: str) -> int:
    if not part.isascii():
        raise ValueError(part)
    if part.startswith("0x"):
        return int(part, 16)
    if not part.isdigit():
        raise ValueError(part)
    return int(part, 8) if part.startswith("0") and len(part) > 1 else int(part)

"""Which hosts an image may be pulled from: never this machine, never an inside network."""

from __future__ import annotations

import ipaddress
import re

_HOST = re.compile(r"[A-Za-z0-9.-]+")
_SHARED = ipaddress.ip_network("100.64.0.0/10")


def find_image_host(image: str) -> str | None:
    """The registry host that an image reference names explicitly, with its port, or None for the default registry."""
    first, slash, _ = image.partition("/")
    if not slash:
        return None
    lowered = first.lower()
    if "." in first or ":" in first or first.startswith("[") or lowered == "localhost":
        return first
    return None


def find_host_problem(host: str) -> str | None:
    """Why a registry host (with or without a port) must not be spoken to, or None."""
    if not host:
        return "it is empty"
    if "://" in host or any(mark in host for mark in "/\\@") or any(letter.isspace() for letter in host):
        return "it is not a bare host"
    name, port = _split_port(host)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        return "its port is not a number from 1 to 65535"
    address = _parse_address(name)
    if address is not None:
        return "it is an address inside a network" if is_internal(address) else None
    if _HOST.fullmatch(name) is None:
        return "it may hold letters, digits, '.' and '-' only"
    lowered = name.lower().rstrip(".")
    if lowered == "localhost" or lowered.endswith(".localhost"):
        return "it is this machine"
    return None


def is_internal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is loopback, private, link-local, unspecified, broadcast, multicast or carrier-shared."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
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


def _split_port(host: str) -> tuple[str, str | None]:
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name, rest.removeprefix(":") if rest else None
    if host.count(":") == 1:
        name, _, port = host.partition(":")
        return name, port
    return host, None


def _parse_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a name spells, the short and numeric spellings of IPv4 included."""
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

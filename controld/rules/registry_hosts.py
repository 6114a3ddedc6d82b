"""Which hosts an image may be pulled from: never this machine, never an inside network."""

from __future__ import annotations

import re

from kit.addresses import is_internal, parse_address

_HOST = re.compile(r"[A-Za-z0-9.-]+")


def find_image_host(image: str) -> str | None:
    """The registry host that an image reference names explicitly, with its port, or None for the default registry."""
    first, slash, _ = image.partition("/")
    if not slash:
        return None
    lowered = first.lower()
    if "." in first or ":" in first or first.startswith("[") or lowered == "localhost":
        return first
    return None


def find_host_problem(host: str, *, allow_private: bool = False) -> str | None:
    """Why a registry host (with or without a port) must not be spoken to, or None.

    `allow_private` lets it be this machine, or one inside a network.
    """
    if not host:
        return "it is empty"
    if "://" in host or any(mark in host for mark in "/\\@") or any(letter.isspace() for letter in host):
        return "it is not a bare host"
    name, port = _split_port(host)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        return "its port is not a number from 1 to 65535"
    address = parse_address(name)
    if address is not None:
        return "it is an address inside a network" if is_internal(address) and not allow_private else None
    if _HOST.fullmatch(name) is None:
        return "it may hold letters, digits, '.' and '-' only"
    lowered = name.lower().rstrip(".")
    if not allow_private and (lowered == "localhost" or lowered.endswith(".localhost")):
        return "it is this machine"
    return None


def _split_port(host: str) -> tuple[str, str | None]:
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        return name, rest.removeprefix(":") if rest else None
    if host.count(":") == 1:
        name, _, port = host.partition(":")
        return name, port
    return host, None

"""What the settings say of ingress: the platform's own hostname, where nodes find what it leads to, and who leads."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial

from controld.gateways.addresses import is_own_address
from controld.rules.validation import split_label
from controld.settings import Settings


def control_domain_of(settings: Settings) -> str | None:
    """The hostname of the platform itself."""
    return None if settings.control_domain is None else settings.control_domain.lower()


def leading_label_of(settings: Settings) -> tuple[str, str] | None:
    """What nodes carry whose ingress leads to every service; None: all lead."""
    return None if settings.ingress_label is None else split_label(settings.ingress_label)


def make_control_locator(settings: Settings) -> Callable[[str], str | None]:
    """Tells from a node's address where its ingress finds the public listener; None: nowhere."""
    return partial(_locate_control, settings)


def _locate_control(settings: Settings, node_address: str) -> str | None:
    if settings.control_address is not None:
        return settings.control_address
    if settings.listen_port == 0 or not is_own_address(node_address):
        return None
    try:
        listening = ipaddress.ip_address(settings.listen_host)
    except ValueError:
        return f"127.0.0.1:{settings.listen_port}"
    host = "127.0.0.1" if listening.is_unspecified else str(listening)
    return f"[{host}]:{settings.listen_port}" if ":" in host else f"{host}:{settings.listen_port}"

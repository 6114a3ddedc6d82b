"""Judges the values of settings."""

from __future__ import annotations

import ipaddress

from controld.rules.endpoints import parse_ports
from controld.rules.hostnames import find_domain_problem
from controld.rules.ownership import parse_server
from controld.rules.validation import split_label
from kit.faults import Invalid


def check_port(port: int) -> str | None:
    """Why the value cannot be used, or None when it can."""
    return None if 0 <= port <= 65535 else "must be a port from 0 to 65535"


def check_ports(ports: str) -> str | None:
    """Why the value cannot be used, or None when it can."""
    try:
        parse_ports(ports)
    except ValueError as error:
        return str(error)
    return None


def check_domain(domain: str | None) -> str | None:
    """Why the value cannot be used, or None when it can."""
    return None if domain is None else find_domain_problem(domain.lower())


def check_address(address: str | None) -> str | None:
    """Why the value cannot be used, or None when it can."""
    if address is None:
        return None
    try:
        host, _, port = address.rpartition(":")
        ipaddress.ip_address(host.strip("[]"))
        return check_port(int(port))
    except ValueError:
        return "must be ip:port"


def check_servers(servers: tuple[str, ...]) -> str | None:
    """Why the value cannot be used, or None when it can."""
    try:
        for server in servers:
            parse_server(server)
    except ValueError as error:
        return f"must be addresses of name servers: {error}"
    return None


def check_networks(networks: tuple[str, ...]) -> str | None:
    """Why the value cannot be used, or None when it can."""
    try:
        for network in networks:
            ipaddress.ip_network(network)
    except ValueError as error:
        return f"must be networks: {error}"
    return None


def check_label(label: str | None) -> str | None:
    """Why the value cannot be used, or None when it can."""
    try:
        _ = label is None or split_label(label)
    except Invalid as fault:
        return fault.message
    return None


def check_email(email: str | None) -> str | None:
    """Why the value cannot be used, or None when it can."""
    if email is None:
        return None
    name, at, domain = email.partition("@")
    return None if name and at and find_domain_problem(domain.lower()) is None else "must be an e-mail address"


def check_https(url: str) -> str | None:
    """Why the value cannot be used, or None when it can."""
    return None if url.startswith("https://") else "must start with https://"


def check_database(url: str | None) -> str | None:
    """Why the value cannot be used, or None when it can."""
    if url is None or url.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
        return None
    return "must start with sqlite+aiosqlite:/// or postgresql+asyncpg://"


def check_recipients(recipients: tuple[str, ...]) -> str | None:
    """Why the value cannot be used, or None when it can."""
    return None if all(each.startswith("age1") for each in recipients) else "each must start with age1"


def check_token_url(url: str | None) -> str | None:
    """Why the value cannot be used, or None when it can."""
    if url is None or (url.startswith(("https://", "http://")) and url.endswith("/v2/token") and '"' not in url):
        return None
    return "must start with https:// or http:// and end with /v2/token"


def check_secret(secret: str | None) -> str | None:
    """Why the value cannot be used, or None when it can."""
    return None if secret is None or len(secret) >= 64 else "must have at least 64 characters"

"""TCP ports of services: what HAProxy's file says of them, and whether this host has them to give."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path


def render_port(port: int, *, backend: str, hosts: Iterable[str]) -> Iterator[str]:
    """The lines of a frontend that leads every connection at the port of these addresses to the backend."""
    yield f"frontend at_{port} from tcp"
    yield from (f"  bind {host}:{port}" for host in hosts)
    yield f"  default_backend {backend}"


def render_inner_port(
    port: int, *, backend: str, hosts: Iterable[str], pair: Path, authority: Path, peers: Path
) -> Iterator[str]:
    """The same for what other nodes hand over: by certificate, and only from those in the map of `peers`.

    Nobody is let in while no server of the backend could answer, before a word is said, so that the other node asks
    elsewhere.
    """
    yield f"frontend at_{port} from tcp"
    yield from (f"  bind {host}:{port} ssl crt {pair} ca-file {authority} verify required" for host in hosts)
    yield f"  tcp-request connection reject if {{ nbsrv({backend}) eq 0 }}"
    yield f"  tcp-request session reject if !{{ ssl_c_s_dn(cn),word(2,' '),map_str({peers}) -m found }}"
    yield f"  default_backend {backend}"


def list_hosts(bind: str) -> tuple[str, ...]:
    """The addresses, each once, of a bind such as `*:80` or `127.0.0.1:80,[::1]:80`, without their ports."""
    return tuple(dict.fromkeys(address.rpartition(":")[0] for address in bind.split(",")))


def find_taken(ports: Iterable[int], *, hosts: Iterable[str]) -> tuple[int, ...]:
    """Those of the ports that other programs listen on here, or that cannot be listened on at all."""
    addresses = tuple(hosts)
    return tuple(port for port in ports if not all(_can_listen(host, port) for host in addresses))


def _can_listen(host: str, port: int) -> bool:
    plain = "" if host == "*" else host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in plain else socket.AF_INET) as probe:
        # A connection that has just ended keeps no port, as it keeps none from HAProxy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((plain, port))
        except OSError:
            return False
    return True

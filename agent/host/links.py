"""Reads the counters of every network link at once, over one netlink socket that stays open."""

from __future__ import annotations

import itertools
import socket
from typing import Final

from agent.rules.netlink import (
    NetlinkRefused,
    parse_answer,
    parse_counters,
    parse_namespace,
    parse_peers,
    render_links_request,
    render_namespace_request,
    render_stats_request,
)

_ANSWER_BYTES: Final = 256 * 1024
_ANSWER_SECONDS: Final = 2.0


class LinkCounters:
    """Counters of the links of this network namespace; calls block for a moment and do not overlap.

    Where the kernel does not answer, nothing is known; the socket is opened anew for the next call.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._sequence = itertools.count(1)

    def read(self) -> dict[int, tuple[int, int]] | None:
        """Bytes received and sent by the index of the link, by one dump; None where the kernel does not tell."""
        answer = self._ask(render_stats_request(next(self._sequence)), dump=True)
        return None if answer is None else dict(parse_counters(answer))

    def find(self, pids: list[int]) -> dict[int, tuple[int, ...]]:
        """The links that lead into the network namespace of each process; left out is a process without any."""
        if not pids:
            return {}
        answer = self._ask(render_links_request(next(self._sequence)), dump=True)
        by_namespace: dict[int, list[int]] = {}
        for link, number in parse_peers(answer or []):
            by_namespace.setdefault(number, []).append(link)
        found: dict[int, tuple[int, ...]] = {}
        for pid in pids if by_namespace else ():
            told = self._ask(render_namespace_request(next(self._sequence), pid), dump=False)
            namespace = parse_namespace(told or [])
            if namespace is not None and namespace in by_namespace:
                found[pid] = tuple(by_namespace[namespace])
        return found

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, request: bytes, *, dump: bool) -> list[tuple[int, memoryview]] | None:
        found: list[tuple[int, memoryview]] = []
        try:
            if self._socket is None:
                self._socket = _open_socket()
            self._socket.send(request)
            ended = False
            while not ended:
                messages, ended = parse_answer(self._socket.recv(_ANSWER_BYTES))
                found += messages
                ended = ended or not dump
        except NetlinkRefused:
            return None
        except OSError:
            self.close()
            return None
        return found


def _open_socket() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        opened.settimeout(_ANSWER_SECONDS)
        opened.bind((0, 0))
    except OSError:
        opened.close()
        raise
    return opened

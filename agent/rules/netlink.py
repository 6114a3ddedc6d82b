"""Messages of rtnetlink: counters of all links, which link leads into which network namespace."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_STATS: Final = struct.Struct("=BBHII")
_LINK: Final = struct.Struct("=BxHiII")
_COUNTERS: Final = struct.Struct("=4xI4x2xH16xQQ")
"""A link's index, the name of the attribute that comes first, and two of its counters."""
_INT: Final = struct.Struct("=i")

_ERROR, _DONE = 2, 3
_NEW_LINK, _GET_LINK = 16, 18
_NEW_NSID, _GET_NSID = 88, 90
_NEW_STATS, _GET_STATS = 92, 94
_REQUEST, _DUMP = 0x1, 0x300
_STATS_LINK_64: Final = 1
_LINK_NETNSID: Final = 37
_LINK_EXT_MASK, _SKIP_STATS = 29, 8
_NSID, _NSID_PID = 1, 2
_TYPE_MASK: Final = 0x3FFF


class NetlinkRefused(Exception):
    """The kernel answers with an error, whose number is `errno`."""

    def __init__(self, errno: int) -> None:
        super().__init__(f"rtnetlink refuses with error {errno}")
        self.errno = errno


def render_stats_request(sequence: int) -> bytes:
    """Ask for the 64-bit counters of every link."""
    return _render(_GET_STATS, _STATS.pack(0, 0, 0, 0, 1 << (_STATS_LINK_64 - 1)), flags=_DUMP, sequence=sequence)


def render_links_request(sequence: int) -> bytes:
    """Ask for every link, without its counters."""
    body = _LINK.pack(0, 0, 0, 0, 0) + _render_int(_LINK_EXT_MASK, _SKIP_STATS)
    return _render(_GET_LINK, body, flags=_DUMP, sequence=sequence)


def render_namespace_request(sequence: int, pid: int) -> bytes:
    """Ask by which number this namespace knows the network namespace of the process."""
    return _render(_GET_NSID, bytes(4) + _render_int(_NSID_PID, pid), flags=0, sequence=sequence)


def parse_answer(data: bytes) -> tuple[list[tuple[int, memoryview]], bool]:
    """Type and payload of each message, and whether a dump ends here; raises NetlinkRefused."""
    found: list[tuple[int, memoryview]] = []
    view, offset = memoryview(data), 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            break
        if kind == _DONE:
            return found, True
        payload = view[offset + _HEADER.size : offset + length]
        if kind == _ERROR:
            raise NetlinkRefused(-_INT.unpack_from(payload)[0])
        found.append((kind, payload))
        offset += (length + 3) & ~3
    return found, False


def parse_counters(messages: list[tuple[int, memoryview]]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Index of each link with the bytes that it received and sent."""
    for kind, payload in messages:
        if kind == _NEW_STATS and len(payload) >= _COUNTERS.size:
            link, name, received, sent = _COUNTERS.unpack_from(payload)
            if name == _STATS_LINK_64:  # it comes first: nothing else was asked for
                yield link, (received, sent)


def parse_peers(messages: list[tuple[int, memoryview]]) -> Iterator[tuple[int, int]]:
    """Index of each link whose other end is in another network namespace, with the number of that namespace."""
    for kind, payload in messages:
        if kind == _NEW_LINK:
            for name, value in _attributes(payload, _LINK.size):
                if name == _LINK_NETNSID:
                    yield _LINK.unpack_from(payload)[2], _INT.unpack_from(value)[0]


def parse_namespace(messages: list[tuple[int, memoryview]]) -> int | None:
    """The number of the namespace; None when this one does not know it."""
    for kind, payload in messages:
        if kind == _NEW_NSID:
            for name, value in _attributes(payload, 4):
                if name == _NSID:
                    number = int(_INT.unpack_from(value)[0])
                    return number if number >= 0 else None
    return None


def _attributes(payload: memoryview, offset: int) -> Iterator[tuple[int, memoryview]]:
    while offset + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, payload[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _render(kind: int, body: bytes, *, flags: int, sequence: int) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, sequence, 0) + body


def _render_int(kind: int, value: int) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + _INT.size, kind) + _INT.pack(value)

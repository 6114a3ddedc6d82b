"""Counters of links are read from the kernel's messages, and only from whole ones."""

from __future__ import annotations

import struct

from agent.rules.netlink import parse_answer, parse_counters

STATS, LINK, DONE = 92, 16, 3


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


def counters(link: int, *, received: int, sent: int, attribute: int = 1) -> bytes:
    told = struct.pack("=25Q", 11, 12, received, sent, *range(21))
    return struct.pack("=BBHII", 0, 0, 0, link, 1) + struct.pack("=HH", 4 + len(told), attribute) + told


def test_bytes_received_and_sent_are_told_by_the_index_of_the_link() -> None:
    many = counters(1, received=70, sent=70), counters(9, received=1 << 40, sent=5)
    messages, ended = parse_answer(b"".join(message(STATS, each) for each in many) + message(DONE, bytes(4)))
    assert ended
    assert dict(parse_counters(messages)) == {1: (70, 70), 9: (1 << 40, 5)}


def test_what_is_no_counter_is_passed_over() -> None:
    whole = counters(4, received=1, sent=2)
    data = (
        message(LINK, whole)
        + message(STATS, whole[:40])
        + message(STATS, counters(3, received=1, sent=2, attribute=5))
        + message(STATS, whole)
    )
    messages, ended = parse_answer(data)
    assert not ended
    assert dict(parse_counters(messages)) == {4: (1, 2)}

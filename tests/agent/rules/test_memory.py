"""Memory and OOM kills are read from the kernel's words, and what it does not say stays unknown."""

from __future__ import annotations

import pytest

from agent.rules.memory import parse_count, parse_limit, parse_memory_kinds, parse_oom_kills, parse_resident_pages


@pytest.mark.parametrize(
    ("data", "count"), [(b"11096064\n", 11096064), (b"0", 0), (b"max\n", None), (b"-5\n", None), (b"\n", None)]
)
def test_a_count_is_a_plain_number(data: bytes, count: int | None) -> None:
    assert parse_count(data) == count


@pytest.mark.parametrize(
    ("data", "kills"),
    [
        (b"low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 1\n", 2),
        (b"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", 7),
        (b"oom_kill_disable 0\nunder_oom 0\n", None),
        (b"", None),
    ],
)
def test_oom_kills_are_those_of_either_version_of_cgroups(data: bytes, kills: int | None) -> None:
    assert parse_oom_kills(data) == kills


@pytest.mark.parametrize(("data", "pages"), [(b"1104 214 180 3 0 60 0\n", 214), (b"1\n", None), (b"", None)])
def test_resident_pages_are_the_second_word(data: bytes, pages: int | None) -> None:
    assert parse_resident_pages(data) == pages


@pytest.mark.parametrize(
    ("data", "limit"), [(b"67108864\n", 67108864), (b"max\n", None), (b"9223372036854771712\n", None), (b"", None)]
)
def test_no_limit_is_not_a_number(data: bytes, limit: int | None) -> None:
    assert parse_limit(data) == limit


def test_kinds_of_memory_are_those_of_either_version_of_cgroups() -> None:
    assert parse_memory_kinds(b"anon 1\nfile 2\nkernel 3\nkernel_stack 9\n") == {"anon": 1, "file": 2, "kernel": 3}
    first = b"cache 7\nrss 7\nswap 7\ntotal_cache 2\ntotal_rss 1\ntotal_swap 4\n"
    assert parse_memory_kinds(first) == {"anon": 1, "file": 2, "swap": 4}
    assert parse_memory_kinds(b"") == {}

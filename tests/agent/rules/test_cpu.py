"""CPU time is read from the kernel's words of either version of cgroups."""

from __future__ import annotations

import pytest

from agent.rules.cpu import parse_cpu_stat, parse_cpuacct_usage


@pytest.mark.parametrize(
    ("data", "usec"),
    [
        (b"usage_usec 2299634\nuser_usec 1721561\nsystem_usec 578073\n", 2299634),
        (b"user_usec 5\nusage_usec 7\n", 7),
        (b"usage_usec -1\n", None),
        (b"nr_periods 48\n", None),
        (b"", None),
    ],
)
def test_cgroup_2_tells_microseconds(data: bytes, usec: int | None) -> None:
    assert parse_cpu_stat(data) == usec


@pytest.mark.parametrize(("data", "usec"), [(b"1234567890\n", 1234567), (b"0\n", 0), (b"-1\n", None), (b"", None)])
def test_cgroup_1_tells_nanoseconds(data: bytes, usec: int | None) -> None:
    assert parse_cpuacct_usage(data) == usec

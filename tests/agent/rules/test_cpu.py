"""CPU time is read from the kernel's words of either version of cgroups."""

from __future__ import annotations

import pytest

from agent.rules.cpu import CpuTimes, parse_cpu_stat, parse_cpuacct_usage, parse_throttled_usec


@pytest.mark.parametrize(
    ("data", "times"),
    [
        (b"usage_usec 2299634\nuser_usec 1721561\nsystem_usec 578073\n", CpuTimes(2299634, 1721561, 578073)),
        (
            b"usage_usec 3\nuser_usec 1\nsystem_usec 2\nnr_periods 4\nnr_throttled 1\nthrottled_usec 9\n",
            CpuTimes(3, 1, 2, 9),
        ),
        (b"user_usec 5\nusage_usec 7\n", CpuTimes(7)),
        (b"usage_usec -1\n", None),
        (b"nr_periods 48\n", None),
        (b"", None),
    ],
)
def test_cgroup_2_tells_microseconds(data: bytes, times: CpuTimes | None) -> None:
    assert parse_cpu_stat(data) == times


@pytest.mark.parametrize(("data", "usec"), [(b"1234567890\n", 1234567), (b"0\n", 0)])
def test_cgroup_1_tells_nanoseconds(data: bytes, usec: int) -> None:
    assert parse_cpuacct_usage(data) == CpuTimes(usec)


@pytest.mark.parametrize("data", [b"-1\n", b""])
def test_what_is_no_number_is_unknown(data: bytes) -> None:
    assert parse_cpuacct_usage(data) is None


@pytest.mark.parametrize(
    ("data", "usec"),
    [
        (b"nr_throttled 1\nthrottled_usec 7\n", 7),
        (b"nr_throttled 1\nthrottled_time 7999\n", 7),
        (b"usage_usec 1", None),
    ],
)
def test_time_held_back_is_told_in_microseconds_or_nanoseconds(data: bytes, usec: int | None) -> None:
    assert parse_throttled_usec(data) == usec

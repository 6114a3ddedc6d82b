"""Numbers of the machine are read from captured files, and refused when they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.rules.host import CpuJiffies, parse_loadavg, parse_meminfo, parse_stat

PROC = Path(__file__).parents[2] / "data" / "cgroup2-sample" / "proc"


def test_the_sums_of_all_cores_are_told_in_jiffies() -> None:
    assert parse_stat((PROC / "stat").read_text()) == CpuJiffies(
        user=4161, nice=0, system=4784, idle=15821, iowait=168, count=2
    )


def test_memory_is_told_in_bytes() -> None:
    total, available = parse_meminfo((PROC / "meminfo").read_text())

    assert available == 1906444 * 1024
    assert total > available


def test_what_is_available_is_estimated_where_the_kernel_does_not_say() -> None:
    text = "MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 20 kB\n"
    assert parse_meminfo(text) == (100 * 1024, 35 * 1024)


def test_loads_are_told_over_1_5_and_15_minutes() -> None:
    assert parse_loadavg((PROC / "loadavg").read_text()) == (0.70, 0.48, 0.20)


@pytest.mark.parametrize("parse", [parse_stat, parse_meminfo, parse_loadavg])
def test_files_that_say_something_else_are_refused(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="/proc/"):
        parse("nothing\n")

"""Rates come of two readings of one run of a container, and of nothing else."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agent.model.metrics import DeviceIo, Reading, ReadingSource
from agent.model.usage import FIELDS, RATES
from agent.rules.rates import compute_rate, compute_usage

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
counters = st.none() | st.integers(min_value=0, max_value=2**64 - 1)


def reading(**fields: object) -> Reading:
    return Reading(container_id="c", recorded_at=AT, **fields)  # type: ignore[arg-type]


def usage(before: Reading | None, after: Reading, seconds: float = 2.0) -> dict[str, float | None]:
    return dict(zip(FIELDS, compute_usage(before, after, seconds), strict=True))


BEFORE = reading(
    cpu_usage_usec=1_000_000,
    cpu_throttled_usec=0,
    memory_current_bytes=5,
    pids=1,
    io=(DeviceIo(device="8:0", read_bytes=10, written_bytes=0),),
    network_received_bytes=100,
    network_sent_bytes=200,
    network_source=ReadingSource.NETLINK,
    io_pressure_usec=0,
)
AFTER = structs.replace(
    BEFORE,
    cpu_usage_usec=2_000_000,
    cpu_throttled_usec=100_000,
    memory_current_bytes=7,
    io=(
        DeviceIo(device="8:0", read_bytes=20, written_bytes=4),
        DeviceIo(device="8:1", read_bytes=10, written_bytes=0),
    ),
    network_received_bytes=300,
    network_sent_bytes=200,
    io_pressure_usec=1000,
)


def test_two_readings_make_means_over_the_time_between_them() -> None:
    assert usage(BEFORE, AFTER) == {
        "cpu_millis": 500.0,
        "cpu_throttled_millis": 50.0,
        "io_read_bytes_per_second": 10.0,
        "io_written_bytes_per_second": 2.0,
        "network_received_bytes_per_second": 100.0,
        "network_sent_bytes_per_second": 0.0,
        "cpu_pressure_millis": None,
        "memory_pressure_millis": None,
        "io_pressure_millis": 0.5,
        "memory_bytes": 7.0,
        "pids": 1.0,
    }


def test_the_first_reading_and_one_of_another_container_have_levels_alone() -> None:
    another = structs.replace(BEFORE, container_id="other")
    anew = structs.replace(BEFORE, cpu_usage_usec=3_000_000)
    for before in (None, another, anew):
        found = usage(before, AFTER)
        assert [found[name] for name in RATES] == [None] * len(RATES)
        assert (found["memory_bytes"], found["pids"]) == (7.0, 1.0)


def test_counters_of_two_sources_make_no_rate() -> None:
    after = structs.replace(AFTER, network_source=ReadingSource.PROCFS)

    assert usage(BEFORE, after)["network_received_bytes_per_second"] is None
    assert usage(BEFORE, after)["cpu_millis"] == 500.0


@given(counters, counters, st.floats(min_value=-1e6, max_value=1e6))
def test_a_rate_is_known_exactly_when_the_counter_went_on_and_time_went_by(
    before: int | None, after: int | None, seconds: float
) -> None:
    rate = compute_rate(before, after, seconds)

    if before is None or after is None or after < before or seconds <= 0:
        assert rate is None
    else:
        assert rate is not None
        assert rate >= 0

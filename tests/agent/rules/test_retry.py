"""Waits between attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.rules.retry import compute_retry_seconds


@given(
    failures=st.integers(0, 10_000),
    least=st.floats(0.01, 10),
    most=st.floats(10, 600),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_stays_between_half_the_least_and_the_most(
    failures: int, least: float, most: float, jitter: float
) -> None:
    seconds = compute_retry_seconds(failures, least_seconds=least, most_seconds=most, jitter=jitter)
    assert least / 2 <= seconds <= most


def test_waits_double() -> None:
    waits = [compute_retry_seconds(n, least_seconds=1, most_seconds=30, jitter=0) for n in (1, 2, 3, 9)]
    assert waits == [0.5, 1, 2, 15]

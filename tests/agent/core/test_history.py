"""The past is bounded, tells what it was given in both widths, and bears every jump of the clock."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core.history import History, Ring, choose_step
from agent.model.usage import FIELDS, RATES


def test_rates_of_a_point_are_averaged_and_levels_are_the_greatest() -> None:
    ring = Ring([True, False], step_seconds=10, points=4)
    for at, values in ((100, (1.0, 5.0)), (103, (2.0, None)), (106, (6.0, 4.0)), (110, (None, 0.0))):
        ring.add(at, values)

    (first, (mean, greatest)), last = ring.list(0)
    assert (first, round(mean or 0, 2), round(greatest or 0, 2)) == (100, 3.0, 5.0)
    assert last == (110, (None, 0.0))


def test_a_pause_is_unknown_and_only_the_newest_points_are_kept() -> None:
    ring = Ring([False], step_seconds=10, points=5)
    ring.add(0, (1.0,))
    ring.add(30, (0.0,))

    assert [value for _, (value,) in ring.list(0)] == [1.0, None, None, 0.0]
    ring.add(1000, (2.0,))
    assert list(ring.list(0)) == [(1000, (2.0,))]
    for at in range(1010, 3000, 10):
        ring.add(at, (3.0,))
    assert [at for at, _ in ring.list(0)] == [2950, 2960, 2970, 2980, 2990]


def test_a_clock_that_is_set_back_takes_the_place_of_what_it_comes_before() -> None:
    ring = Ring([False], step_seconds=10, points=9)
    for at in (0, 10, 20, 30):
        ring.add(at, (1.0,))
    ring.add(15, (0.0,))

    assert list(ring.list(0)) == [(0, (1.0,)), (10, (0.0,))]


values = st.none() | st.floats(min_value=0, max_value=2**62)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-200, 400), values), max_size=60))
@example([(-1, 0.0), (1, None), (-1, None)])
def test_whatever_the_clock_does_points_are_in_order_within_bounds_and_nearly_exact(
    steps: list[tuple[int, float | None]],
) -> None:
    ring, now, slot = Ring([False], step_seconds=10, points=20), 10_000, 0
    last: dict[int, float | None] = {}
    for step, value in steps:
        now += step
        before, slot = slot, now // 10 * 10
        last = {at: known for at, known in last.items() if at < slot or at == slot == before}
        known = last.get(slot)
        last[slot] = value if known is None or (value is not None and value > known) else known
        ring.add(now, (value,))
        told = list(ring.list(0))
        moments = [at for at, _ in told]
        assert moments == sorted(set(moments))
        assert len(moments) <= 20
        assert not moments or moments[-1] == slot
        for at, (found,) in told:
            expected = last.get(at)
            if expected is None:
                assert found is None
            else:
                assert found is not None
                assert abs(found - expected) <= expected * 0.0004 + 1e-3


def test_an_hour_is_told_by_ten_seconds_and_a_week_by_the_minute_at_a_bounded_size() -> None:
    history = History([name in RATES for name in FIELDS])
    week = 7 * 24 * 3600
    for at in range(0, week + 7200, 10):
        history.add(at, (1.0,) * len(FIELDS))
    now = week + 7190

    assert len(history.list(since=now - 3600, step_seconds=10)) == 360
    assert len(history.list(since=0, step_seconds=60)) == 7 * 24 * 60
    hourly = history.list(since=now - 86_400, step_seconds=3600)
    assert [at % 3600 for at, _ in hourly] == [0] * 25
    assert history.size_bytes <= 260_000


def test_the_width_of_points_is_what_was_asked_as_far_as_it_is_kept() -> None:
    for since, step, chosen in (
        (0, 1, 10),
        (0, 15, 20),
        (-7200, 10, 60),
        (0, 61, 120),
        (0, 60, 60),
        (-7200, 3600, 3600),
    ):
        assert choose_step(since=since, now=100, step_seconds=step) == chosen

"""What the soak calls flat: later rests of a process are held to its earlier ones."""

from __future__ import annotations

import pytest

from benchmarks.soak.readings import Reading, Rest
from benchmarks.soak.verdict import find_faults, list_lives

FLAT = [40, 42, 41, 40, 43, 41, 40, 42, 41, 40]


def life(*, files: list[int] | None = None, rss: list[float] | None = None, **changes: int) -> list[Reading]:
    files = files or FLAT
    megabytes = rss or [100.0] * len(files)
    return [
        Reading(
            pid=7,
            rss_bytes=int(size * 1e6),
            files=count,
            threads=10,
            children=0,
            gauges={"consoles": 0, "tasks": 9, **changes},
        )
        for count, size in zip(files, megabytes, strict=True)
    ]


def test_a_process_that_comes_back_to_what_it_held_is_flat() -> None:
    assert find_faults("agent", life()) == []


@pytest.mark.parametrize("files", [[40, 55], [53, 68, 83], [40, 41, 42, 43, 44, 45, 46, 47, 48, 49]])
def test_files_that_stay_open_are_told(files: list[int]) -> None:
    (fault,) = find_faults("agent", life(files=files))
    assert "files at rest" in fault


def test_one_rest_that_fell_on_something_about_to_end_is_forgiven() -> None:
    assert find_faults("agent", life(files=[40, 41, 40, 41, 40, 41, 40, 60, 41, 40])) == []


def test_memory_that_grows_as_fast_later_as_sooner_is_told_and_what_warms_up_is_not() -> None:
    warming = [80.0, 95.0, 103.0, 107.0, 109.0, 110.0, 110.5, 110.9, 111.0, 111.0]
    growing = [80.0 + 3 * turn for turn in range(10)]
    assert find_faults("agent", life(rss=warming)) == []
    (fault,) = find_faults("agent", life(rss=growing))
    assert "the memory of agent (7) grew" in fault


def test_few_rests_say_nothing_of_memory() -> None:
    assert find_faults("agent", life(files=[40, 40, 40], rss=[80.0, 90.0, 100.0])) == []


def test_a_console_that_is_open_at_rest_is_told() -> None:
    faults = find_faults("agent", life(files=[40, 40], consoles=1))
    assert faults == ["agent (7) counts 1 consoles at rest"] * 2


def test_a_process_that_took_the_place_of_another_begins_anew() -> None:
    rests = [
        Rest(cycle=cycle, readings={"agent": Reading(pid=pid, rss_bytes=1, files=1, threads=1, children=0)})
        for cycle, pid in enumerate((5, 5, 6))
    ]
    assert [[reading.pid for reading in life] for life in list_lives(rests, "agent")] == [[5, 5], [6]]
    assert list_lives(rests, "controld") == []

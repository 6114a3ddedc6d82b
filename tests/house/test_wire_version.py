"""The contract between programs has one version, and a dated history that leads up to it."""

from __future__ import annotations

import datetime as dt

from wire.version import HISTORY, VERSION


def test_the_version_is_that_of_the_last_line_of_the_history() -> None:
    assert HISTORY[-1][0] == VERSION


def test_the_history_counts_up_by_one_and_never_back_in_time() -> None:
    numbers = [number for number, _, _ in HISTORY]
    dates = [dt.date.fromisoformat(date) for _, date, _ in HISTORY]
    assert numbers == list(range(1, len(HISTORY) + 1))
    assert dates == sorted(dates)


def test_each_line_of_the_history_says_what_changed() -> None:
    assert all(meaning.strip() for _, _, meaning in HISTORY)

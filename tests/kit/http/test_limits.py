"""A window slides, forgets what is idle, and does not count what it rejects."""

from __future__ import annotations

from kit.http.limits import Window
from tests.fakes.clock import FakeClock


async def test_asks_up_to_the_limit_are_allowed_and_the_next_is_told_when_to_come_again() -> None:
    clock = FakeClock()
    window = Window(2, 60, clock=clock)
    assert window.check("ada") is None
    await clock.advance(10)
    assert window.check("ada") is None
    await clock.advance(10.5)
    assert window.check("ada") == 40


async def test_the_window_slides() -> None:
    clock = FakeClock()
    window = Window(2, 60, clock=clock)
    window.check("ada")
    await clock.advance(30)
    window.check("ada")
    await clock.advance(30)
    assert window.check("ada") is None
    assert window.check("ada") == 30


async def test_a_rejected_ask_does_not_count() -> None:
    clock = FakeClock()
    window = Window(1, 60, clock=clock)
    window.check("ada")
    for _ in range(10):
        await clock.advance(5)
        assert window.check("ada") is not None
    await clock.advance(10)
    assert window.check("ada") is None


def test_keys_have_windows_of_their_own() -> None:
    window = Window(1, 60, clock=FakeClock())
    assert window.check("ada") is None
    assert window.check("bob") is None
    assert window.check("ada") == 60


async def test_idle_keys_are_swept_away() -> None:
    clock = FakeClock()
    window = Window(5, 60, clock=clock)
    for number in range(1000):
        window.check(str(number))
    await clock.advance(61)
    for _ in range(24):
        window.check("ada")
    assert len(window) == 1


def test_no_more_keys_are_kept_than_the_maximum() -> None:
    window = Window(1, 60, clock=FakeClock(), max_keys=10)
    for number in range(500):
        assert window.check(str(number)) is None
    assert len(window) == 10
    assert window.check("499") is not None

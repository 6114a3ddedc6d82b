"""Work under an owner that is not broken off."""

from __future__ import annotations

import asyncio

import pytest

from kit.tasks import Tasks


async def test_work_that_is_finished_outlives_the_cancellation_of_who_waits_for_it() -> None:
    tasks, going, ended = Tasks("test"), asyncio.Event(), False

    async def work() -> None:
        nonlocal ended
        await going.wait()
        ended = True

    waiting = asyncio.ensure_future(tasks.finish("work", work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    going.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended


async def test_what_finished_work_returns_or_raises_reaches_who_waits_for_it() -> None:
    tasks = Tasks("test")

    async def give(value: int) -> int:
        return 10 // value

    assert await tasks.finish("work", give(2)) == 5
    with pytest.raises(ZeroDivisionError):
        await tasks.finish("work", give(0))


async def test_work_to_finish_withstands_a_second_cancellation_and_the_end_of_its_owner() -> None:
    tasks, going, ended = Tasks("test"), asyncio.Event(), False

    async def work() -> None:
        nonlocal ended
        await going.wait()
        ended = True

    waiting = asyncio.ensure_future(tasks.finish("work", work()))
    await asyncio.sleep(0.001)
    for _ in range(3):
        waiting.cancel()
        await asyncio.sleep(0.001)
    closing = asyncio.ensure_future(tasks.close())
    await asyncio.sleep(0.001)
    assert not waiting.done()
    assert not closing.done()
    going.set()
    await closing
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended


async def test_a_failure_is_logged_only_where_nobody_is_told_of_it(caplog: pytest.LogCaptureFixture) -> None:
    tasks, going = Tasks("test"), asyncio.Event()

    async def fail() -> None:
        await going.wait()
        raise ValueError("broken")

    waiting = asyncio.ensure_future(tasks.finish("told", fail()))
    left = asyncio.ensure_future(tasks.finish("untold", fail()))
    await asyncio.sleep(0.001)
    left.cancel()
    await asyncio.sleep(0.001)
    going.set()
    with pytest.raises(ValueError, match="broken"):
        await waiting
    with pytest.raises(asyncio.CancelledError):
        await left
    assert [record.__dict__["task"] for record in caplog.records] == ["test:untold"]

"""A source is held back while its sink is full."""

from __future__ import annotations

import asyncio

from kit.flow import Valve
from kit.tasks import Tasks


class Ends:
    """A source and a sink that the test decides about."""

    def __init__(self) -> None:
        self.is_full = False
        self.calls: list[str] = []
        self.emptied: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def drained(self) -> None:
        await self.emptied

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


async def test_it_waits_once_however_often_it_is_checked_and_opens_by_itself() -> None:
    ends, tasks = Ends(), Tasks("test")
    valve = Valve(ends, ends, tasks=tasks)
    valve.check()
    ends.is_full = True
    valve.check()
    valve.check()
    await asyncio.sleep(0)
    assert (ends.calls, valve.is_shut) == (["pause"], True)

    ends.is_full = False
    ends.emptied.set_result(None)
    await asyncio.sleep(0.01)

    assert (ends.calls, valve.is_shut) == (["pause", "resume"], False)
    await tasks.close()


async def test_a_sink_that_has_gone_lets_the_source_go_on() -> None:
    ends, tasks = Ends(), Tasks("test")
    ends.is_full = True
    Valve(ends, ends, tasks=tasks).check()
    ends.emptied.set_exception(ConnectionResetError())
    await asyncio.sleep(0.01)
    assert ends.calls == ["pause", "resume"]
    await tasks.close()

"""The caller of an open stream is looked at again: at each beat, and at once when callers change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kit.faults import Fault, Forbidden, NotFound, Unauthenticated, Unavailable
from kit.http.callers import CallerWatch
from kit.http.surface import Ask
from tests.fakes.clock import FakeClock
from tests.kit.http.plain import surface


class _Changes:
    """What tells a watch that callers changed."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.closed = False

    async def next(self) -> None:
        await self.arrived.wait()
        self.arrived.clear()

    def close(self) -> None:
        self.closed = True


class _Door:
    """Lets a caller in until it is told to refuse."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.caller: str | None = "ada"
        self.looks = 0

    async def authenticate(self, _: object) -> str | None:
        return self.caller

    async def admit(self, caller: object) -> None:
        assert caller == "ada"
        self.looks += 1
        if self.fault is not None:
            raise self.fault


def _watch(door: _Door, clock: FakeClock, changes: _Changes | None = None) -> CallerWatch:
    more: dict[str, Any] = {} if changes is None else {"watch_callers": lambda: changes}
    asked: Any = object()
    ask = Ask(asked, "r1", surface=surface(authenticate=door.authenticate, **more), path={})
    return CallerWatch(ask, clock=clock, admit=door.admit, seconds=15)


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("fault", [Unauthenticated("revoked"), Forbidden("role taken"), NotFound("service gone")])
async def test_a_refusal_is_noticed_at_once_when_callers_change(fault: Fault) -> None:
    door, changes = _Door(), _Changes()
    async with asyncio.TaskGroup() as group:
        refused = group.create_task(_watch(door, FakeClock(), changes).refused())
        await _settle()
        changes.arrived.set()
        await _settle()
        assert (door.looks, refused.done()) == (1, False)
        door.fault = fault
        changes.arrived.set()
    assert changes.closed


async def test_a_caller_who_is_not_recognised_any_more_is_noticed_at_the_next_beat() -> None:
    door, clock = _Door(), FakeClock()
    async with asyncio.TaskGroup() as group:
        refused = group.create_task(_watch(door, clock).refused())
        await clock.advance(14)
        assert not refused.done()
        door.caller = None
        await clock.advance(1)


async def test_a_look_that_fails_for_another_reason_refuses_nobody() -> None:
    door, clock = _Door(), FakeClock()
    async with asyncio.TaskGroup() as group:
        refused = group.create_task(_watch(door, clock).refused())
        door.fault = Unavailable("the database is away")
        await clock.advance(40)
        assert (door.looks, refused.done()) == (2, False)
        door.fault = Forbidden("role taken")
        await clock.advance(15)

"""The watch on the engine goes on whatever an event or the engine does."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from agent.core.faults import EngineUnavailable
from agent.loops.watcher import Watcher
from agent.model.engine import EngineEvent, EventKind
from kit.tasks import Tasks
from tests.agent.core.node import Node


async def test_an_engine_that_ends_the_watch_and_an_event_that_cannot_be_taken_do_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()
    taken: list[EngineEvent] = []
    failures: list[Exception] = [EngineUnavailable("cannot reach the engine"), ValueError("odd event")]

    async def watch_events(**_: object) -> AsyncGenerator[EngineEvent]:
        if failures:
            raise failures.pop()
        yield EngineEvent(kind=EventKind.RESYNC, at=node.clock.now(), container_id=None)

    node.engine.watch_events = watch_events  # type: ignore[method-assign]
    monkeypatch.setattr(node.convergence, "note_event", taken.append)
    tasks = Tasks("test")
    tasks.start("watch", Watcher(node.engine, [node.convergence.note_event], node.clock).run())
    await node.clock.advance(2.5)
    await tasks.close()
    assert [event.kind for event in taken] == [EventKind.RESYNC]

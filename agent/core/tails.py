"""Keeps the last log lines of replicas that are not well, for their reports."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final

from agent.core.ports import Engine
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks

LINES: Final = 20
LINE_CHARACTERS: Final = 1000
AGAIN_SECONDS: Final = 5.0
"""The pace of reading while the same thing is wrong."""


class Tails:
    """Reads the end of a log when something new is wrong with a replica, and now and then while it stays so."""

    def __init__(self, engine: Engine, clock: Clock, *, on_change: Callable[[], None]) -> None:
        self._engine = engine
        self._clock = clock
        self._on_change = on_change
        self._tasks = Tasks("tails")
        self._lines: dict[str, tuple[str, ...]] = {}
        self._read: dict[str, tuple[str, float]] = {}
        self._reading: set[str] = set()

    def get(self, replica_id: str) -> tuple[str, ...]:
        """The last lines, oldest first, at most 20; empty while the replica is well or they could not be read."""
        return self._lines.get(replica_id, ())

    def want(self, wrong: Mapping[str, tuple[str, str]]) -> None:
        """Keep the tails of these replicas and of no others: container id, and what is wrong, by replica id."""
        for replica_id in [replica_id for replica_id in self._read if replica_id not in wrong]:
            del self._read[replica_id]
            self._lines.pop(replica_id, None)
        now = self._clock.monotonic()
        for replica_id, (container_id, what) in wrong.items():
            said, at = self._read.get(replica_id, ("", 0.0))
            due = said != container_id + what or now - at >= AGAIN_SECONDS
            if due and replica_id not in self._reading:
                self._read[replica_id] = (container_id + what, now)
                self._reading.add(replica_id)
                self._tasks.start(replica_id, self._fetch(replica_id, container_id))

    async def close(self) -> None:
        """Stop reading."""
        await self._tasks.close()

    async def _fetch(self, replica_id: str, container_id: str) -> None:
        lines: list[str] = []
        try:
            with contextlib.suppress(Fault):
                async with aclosing(
                    self._engine.read_log(container_id, tail=LINES, since=None, follow=False)
                ) as batches:
                    async for batch in batches:
                        lines.extend(line.text[:LINE_CHARACTERS] for line in batch)
        finally:
            self._reading.discard(replica_id)
        if replica_id in self._read and lines and self._lines.get(replica_id) != tuple(lines[-LINES:]):
            self._lines[replica_id] = tuple(lines[-LINES:])
            self._on_change()

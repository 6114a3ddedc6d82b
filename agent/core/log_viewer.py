"""One viewer of a service's live log: what waits for it, what it has had already, and what it was too slow for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping

from agent.core.log_batch import LogBatch, make_batch, make_notice
from agent.model.logs import Entry, Position
from agent.rules.log_cursor import SLACK_USEC, Skip, render_cursor
from agent.rules.log_filter import LogFilter


class Viewer:
    """Takes live batches without ever holding up who gives them.

    Batches wait until `take`, up to `most_bytes`; what comes beyond that is dropped, and what of it `wanted` keeps is
    counted and told where it is missing. `positions` is where the viewer stands while that differs from where the live
    stream stands. With `frames` only events whose ids begin with it are wanted of a batch.
    """

    def __init__(
        self,
        positions: dict[str, Position],
        *,
        most_bytes: int,
        frames: str | None = None,
        wanted: LogFilter | None = None,
    ) -> None:
        self.positions = positions
        self._most_bytes = most_bytes
        self._frames = frames
        self._wanted = wanted
        self._skips: dict[str, Skip] = {}
        self._waiting: deque[LogBatch | int] = deque()
        self._waiting_bytes = 0
        self._early: list[LogBatch] | None = []
        self._early_bytes = 0
        self._early_dropped = 0
        self.has_overflowed = False
        """Whether more came before `begin` than could wait."""
        self._last_id = ""
        self._arrived = asyncio.Event()

    def restart(self) -> None:
        """Let go of what came before `begin`: the viewer is about to read it from the log."""
        self._early, self._early_bytes, self._early_dropped, self.has_overflowed = [], 0, 0, False

    def begin(self, live: Mapping[str, Position]) -> None:
        """The viewer has had all up to its positions: what came meanwhile, and what comes from now on, waits for it.

        `live` is where the live stream stood when the viewer was attached, or restarted.
        """
        for container, position in self.positions.items():
            stood = live.get(container)
            behind = stood is not None and position.usec + SLACK_USEC < stood.usec
            if self.has_overflowed:
                self._skips[container] = Skip(Position(usec=position.usec + 1, nth=-1))
            elif position != stood and not behind:
                self._skips[container] = Skip(position)
        self._last_id = render_cursor(self.positions)
        early, self._early = self._early or [], None
        self._drop(self._early_dropped)
        for batch in early:
            self.put(batch)

    def put(self, batch: LogBatch) -> None:
        """Let the batch wait for the viewer, or drop it."""
        if self._early is not None:
            if self._early_bytes + batch.size_bytes > self._most_bytes:
                self._early_dropped += self._count(batch)
                self.has_overflowed = True
            else:
                self._early.append(batch)
                self._early_bytes += batch.size_bytes
            return
        if self._skips:
            entries = [entry for run in batch.runs for entry in run.entries if self._is_new(entry)]
            if not entries:
                return
            batch = make_batch([entries], self.positions)
        if self._frames is not None:
            batch = batch.compact(self._frames)
        if self._waiting_bytes + batch.size_bytes > self._most_bytes:
            self._drop(self._count(batch))
            return
        self._waiting.append(batch)
        self._waiting_bytes += batch.size_bytes
        self._arrived.set()

    def release(self, containers: Iterable[str]) -> None:
        """The live stream has nothing more of these containers."""
        for container in containers:
            self._skips.pop(container, None)

    def forget(self, container: str) -> None:
        """The container is gone for good, and whoever watches has had all of it."""
        if self._early is not None:
            return
        self.positions.pop(container, None)
        self._skips.pop(container, None)

    async def take(self) -> LogBatch:
        """Wait for the next batch."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        item = self._waiting.popleft()
        if isinstance(item, int):
            return make_notice(item, last_id=self._last_id)
        self._waiting_bytes -= item.size_bytes
        self._last_id = item.last_id
        return item

    def _is_new(self, entry: Entry) -> bool:
        skip = self._skips.get(entry.container)
        if skip is None:
            return True
        new = skip.passes(entry)
        if skip.ended:
            del self._skips[entry.container]
        return new

    def _count(self, batch: LogBatch) -> int:
        wanted = self._wanted
        return batch.count if wanted is None else sum(len(wanted.keep(run.entries)) for run in batch.runs)

    def _drop(self, count: int) -> None:
        if not count:
            return
        if self._waiting and isinstance(self._waiting[-1], int):
            self._waiting[-1] += count
        else:
            self._waiting.append(count)
        self._arrived.set()

"""The output of a build or pull on its way into the log of what it is for: in batches, bounded, and without repeats."""

from __future__ import annotations

import asyncio
from typing import Final, Self

from controld.core.ports import Database
from controld.core.ports_deployments import WorkLog
from controld.rules.deployment_log import MAX_OUTPUT_BYTES, MAX_OUTPUT_LINES, START, clean_text
from kit.clock import Clock
from kit.tasks import Tasks

_FLUSH_SECONDS: Final = 0.3
_BATCH_LINES: Final = 500


class Output:
    """Collects lines and writes them every 0.3 s or 500 lines; used as `async with`, it writes the rest at the end.

    Work that is joined again tells its lines from the first one on: those that are written already are passed over.
    Lines past the log's limits are counted, and one line tells how many they were.
    """

    def __init__(self, row_id: str, *, phase: str, database: Database, logs: WorkLog, clock: Clock) -> None:
        self._row_id = row_id
        self._phase = phase
        self._database = database
        self._logs = logs
        self._clock = clock
        self._tasks = Tasks("work output")
        self._writes = Tasks("work output")
        self._flushing = asyncio.Lock()
        self._waiting: list[str] = []
        self._repeats = 0
        self._lines = 0
        self._characters = 0
        self._dropped = 0

    async def __aenter__(self) -> Self:
        async with self._database.read() as tx:
            self._repeats, self._lines, self._characters = await self._logs.count_output(
                tx, self._row_id, phase=self._phase, after_phase=START
            )
        self._tasks.start("flush", self._keep_flushing())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()
        if self._dropped:
            self._waiting.append(f"[{self._dropped} lines dropped: the log holds {MAX_OUTPUT_LINES} lines or 8 MiB]")
        await self.flush()

    def begin_anew(self) -> None:
        """What follows is told by new work, none of whose lines are written yet."""
        self._repeats = 0

    async def add(self, text: str) -> None:
        """Take one line; it waits while a full batch is written."""
        if self._repeats:
            self._repeats -= 1
            return
        line = clean_text(text)
        if self._lines >= MAX_OUTPUT_LINES or self._characters + len(line) > MAX_OUTPUT_BYTES:
            self._dropped += 1
            return
        self._lines += 1
        self._characters += len(line)
        self._waiting.append(line)
        if len(self._waiting) >= _BATCH_LINES:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits."""
        async with self._flushing:
            waiting, self._waiting = self._waiting, []
            if waiting:
                await self._writes.finish("write", self._write(waiting))

    async def _write(self, waiting: list[str]) -> None:
        async with self._database.write() as tx:
            await self._logs.append(tx, self._row_id, at=self._clock.now(), phase=self._phase, texts=waiting)

    async def _keep_flushing(self) -> None:
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            await self.flush()

"""What an attempt of a job's run writes, on its way from the node into the run's log."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections import deque
from contextlib import aclosing
from typing import Final

from controld.core.faults import NodeFault
from controld.core.ports import Agents, Database
from controld.core.ports_jobs import JobRunLogStore, JobRunStore
from controld.model.job import JobRun
from controld.model.node import Node
from controld.rules.deployment_log import clean_text
from controld.rules.job_log import NOTE, OUTPUT, STDERR, STDOUT
from kit.clock import Clock
from kit.faults import Fault
from kit.tasks import Tasks
from wire.agent.logs import LinesDropped, LogLine, LogPlace, LogQuery, LogRecord

_log = logging.getLogger(__name__)

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FLUSH_SECONDS: Final = 0.3
_BATCH_LINES: Final = 500
_AGAIN_SECONDS: Final = 1.0
_MOST_LINES: Final = 20_000
_END_LINES: Final = 200
"""So many of the last lines are kept of a log that is longer than what is kept."""

_Line = tuple[dt.datetime, str, str]


class OutputTaken(Exception):
    """The run's lease is another's: it keeps the output from here on."""


class RunOutput:
    """Keeps the output of one attempt under the run's lease.

    Lines and the place behind them are written together, so that whoever goes on with the run loses and repeats none.
    Of a long output the beginning is kept as it comes, and the last 200 lines when it has ended.
    """

    def __init__(
        self,
        run: JobRun,
        node: Node,
        *,
        owner: str,
        database: Database,
        runs: JobRunStore,
        logs: JobRunLogStore,
        agents: Agents,
        clock: Clock,
        most_bytes: int,
    ) -> None:
        self._run = run
        self._node = node
        self._owner = owner
        self._database = database
        self._runs = runs
        self._logs = logs
        self._agents = agents
        self._clock = clock
        self._most_bytes = most_bytes
        self._key = "" if run.config is None else run.config.key
        self._cursor = run.log_cursor
        self._waiting: list[_Line] = []
        self._end: deque[_Line] = deque()
        self._dropped = 0
        self._size: tuple[int, int] | None = None
        self._writes = Tasks("job output")
        self._flushing = asyncio.Lock()

    async def follow(self) -> None:
        """Keep what comes until cancelled; a node that breaks off is asked again. Raises OutputTaken."""
        tasks = Tasks("job output")
        try:
            flushing = tasks.start("flush", self._keep_flushing())
            while not flushing.done():
                try:
                    await self._read(follow=True)
                except Fault as fault:
                    _log.info("output of a run broke off", extra={"run": self._run.id, "reason": fault.message})
                    await self._flush()
                await self._clock.sleep(_AGAIN_SECONDS)
            flushing.result()
        finally:
            await tasks.close()

    async def finish(self) -> None:
        """Keep the rest of an attempt that has ended; raises OutputTaken, and the node's fault when there is one."""
        try:
            await self._read(follow=False)
        finally:
            at = self._end[0][0] if self._end else self._clock.now()
            if self._dropped:
                self._waiting.append((at, NOTE, f"[{self._dropped} lines were dropped here: the log is full]"))
            self._waiting += self._end
            self._end.clear()
            await self._flush()

    async def _read(self, *, follow: bool) -> None:
        if self._size is None:
            async with self._database.read() as tx:
                self._size = await self._logs.measure(tx, self._run.id, phases=OUTPUT)
        # What came behind the place that is written is told again.
        self._end.clear()
        self._dropped = 0
        query = LogQuery(
            job_run=self._key, since=_EPOCH if self._cursor is None else None, after=self._cursor, follow=follow
        )
        try:
            async with aclosing(self._agents.read_logs(self._node, query)) as records:
                async for record in records:
                    self._take(record)
                    if len(self._waiting) >= _BATCH_LINES:
                        await self._flush()
        except NodeFault as fault:
            if fault.remote_code == "bad_cursor":
                self._cursor = None
            raise

    def _take(self, record: LogRecord) -> None:
        if isinstance(record, LogPlace):
            return
        if isinstance(record, LinesDropped):
            self._waiting.append(
                (self._clock.now(), NOTE, f"[{record.count} lines were dropped here: too many at once]")
            )
            return
        line = _make_line(record)
        assert self._size is not None
        lines, size = self._size
        if not self._end and lines < _MOST_LINES and size + len(line[2]) <= self._most_bytes:
            self._size = (lines + 1, size + len(line[2]))
            self._waiting.append(line)
            self._cursor = record.id
            return
        self._end.append(line)
        if len(self._end) > _END_LINES:
            self._end.popleft()
            self._dropped += 1

    async def _keep_flushing(self) -> None:
        while True:
            await self._clock.sleep(_FLUSH_SECONDS)
            try:
                await self._flush()
            except Fault as fault:
                _log.warning("output of a run is not written yet", extra={"run": self._run.id, "reason": fault.message})

    async def _flush(self) -> None:
        async with self._flushing:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            try:
                await self._writes.finish("write", self._write(waiting, self._cursor))
            except Fault:
                self._waiting = waiting + self._waiting
                raise

    async def _write(self, lines: list[_Line], cursor: str | None) -> None:
        async with self._database.write() as tx:
            if not await self._runs.note_cursor(tx, self._run.id, owner=self._owner, cursor=cursor):
                raise OutputTaken
            await self._logs.append_lines(tx, self._run.id, lines=lines)


def _make_line(record: LogLine) -> _Line:
    return (record.at, STDERR if record.stream == "stderr" else STDOUT, clean_text(record.text))

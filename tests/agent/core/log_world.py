"""An agent's logs over a fake engine, and viewers that read them in the background."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from agent.core.log_batch import LogBatch
from agent.core.logs import Logs
from agent.model.engine import Container, ContainerSpec, RawLine
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from wire.agent.logs import LinesDropped, LogLine, LogQuery, decode_record

SERVICE = "s-1"


class CountingEngine(FakeEngine):
    """The fake engine, which counts how many logs are followed at one time, and lets a test act between two asks."""

    following = 0
    most = 0
    meddle: Callable[[], Awaitable[None]] | None = None

    async def list_containers(self) -> tuple[Container, ...]:
        if self.meddle is not None:
            await self.meddle()
        return await super().list_containers()

    async def read_log(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[RawLine]:
        self.following += follow
        self.most = max(self.most, self.following)
        try:
            async with aclosing(super().read_log(container_id, tail=tail, since=since, follow=follow)) as lines:
                async for line in lines:
                    yield line
            if self.meddle is not None:
                await self.meddle()
        finally:
            self.following -= follow


class World:
    """An agent's logs over a fake engine, with the events carried as the watcher does."""

    def __init__(self, *, viewer_bytes: int = 1 << 20) -> None:
        self.clock = FakeClock()
        self.engine = CountingEngine("n-1", clock=self.clock)
        self.engine.add_image("app")
        self.tasks = Tasks("test")
        self.viewer_bytes = viewer_bytes
        self.logs = Logs(self.engine, tasks=self.tasks, clock=self.clock, viewer_bytes=viewer_bytes)
        self.tasks.start("events", self._carry())
        self.last = 0

    async def _carry(self) -> None:
        async for event in self.engine.watch_events():
            self.logs.note_event(event)

    def restart_agent(self) -> None:
        """What a new agent starts with: nothing remembered."""
        self.logs = Logs(self.engine, tasks=self.tasks, clock=self.clock, viewer_bytes=self.viewer_bytes)

    async def run(self, replica: str, *, service: str = SERVICE) -> str:
        id_ = await self.engine.create_container(
            ContainerSpec(
                name=f"moorage-{replica}",
                image="app",
                labels=(("moorage.replica", replica), ("moorage.service", service)),
                env=(),
                command=None,
                cpu_millis=100,
                memory_bytes=1 << 20,
                pids=10,
                network="n",
                stop_seconds=1,
            )
        )
        await self.engine.start_container(id_)
        return id_

    async def write(self, container: str, text: str, *, back_usec: int = 0) -> None:
        """Let it write a line whose stamp is a millisecond, or none, behind the last one's, less `back_usec`."""
        self.last += 1000 if back_usec == 0 else 0
        at = self.clock.now() + dt.timedelta(microseconds=self.last - back_usec)
        self.engine._logs[container].append(RawLine(at=at, stream="stdout", text=text.encode()))
        await self.engine._wake()

    def watch(self, **query: object) -> Viewer:
        return Viewer(self, self.logs.read(LogQuery(service_id=SERVICE, follow=True, **query)))  # type: ignore[arg-type]

    async def read(self, **query: object) -> list[LogLine]:
        found: list[LogLine] = []
        async with aclosing(self.logs.read(LogQuery(service_id=SERVICE, **query))) as batches:  # type: ignore[arg-type]
            async for batch in batches:
                found += [record for record in batch.records if isinstance(record, LogLine)]
        return found

    async def settle(self) -> None:
        for _ in range(4):
            await self.clock.advance(0.5)


class Viewer:
    """Reads a live log in the background until it is dropped."""

    def __init__(self, world: World, batches: AsyncGenerator[LogBatch]) -> None:
        self.records: list[LogLine | LinesDropped] = []
        self.open = asyncio.Event()
        self.open.set()
        self._batches = batches
        self._task = world.tasks.start("viewer", self._read())

    async def _read(self) -> None:
        async with aclosing(self._batches) as batches:
            async for batch in batches:
                assert [decode_record(line) for line in batch.encode().splitlines()] == list(batch.records)
                self.records += batch.records
                await self.open.wait()

    @property
    def texts(self) -> list[str]:
        return [record.text for record in self.records if isinstance(record, LogLine)]

    @property
    def last_id(self) -> str | None:
        return next((record.id for record in reversed(self.records) if isinstance(record, LogLine)), None)

    async def drop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

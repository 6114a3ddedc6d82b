"""An agent's logs over a fake engine, and viewers that read them in the background."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

from agent.core.log_archive import LogArchive
from agent.core.log_batch import LogBatch
from agent.core.logs import Logs
from agent.model.engine import Container, ContainerSpec, ContainerState, LoggedLine, RawLine
from kit.tasks import Tasks
from tests.fakes.clock import FakeClock
from tests.fakes.engine import FakeEngine
from tests.fakes.log_archive import FakeLogArchive
from wire.agent.logs import LogLine, LogQuery, LogRecord, decode_record

SERVICE = "s-1"
STEPS: Final = ("write", "skewed", "burst", "drop", "agent", "engine", "settle")
"""What befalls every viewer in a trial."""


class CountingEngine(FakeEngine):
    """The fake engine, which counts how many logs are followed at one time, and lets a test act between two asks."""

    following = 0
    most = 0
    meddle: Callable[[], Awaitable[None]] | None = None
    hasty = False
    """A log that is followed ends with its container, whatever had not been told of it by then."""

    async def list_containers(self) -> tuple[Container, ...]:
        if self.meddle is not None:
            await self.meddle()
        return await super().list_containers()

    async def read_log(
        self, container_id: str, *, tail: int | None, since: dt.datetime | None, follow: bool
    ) -> AsyncGenerator[Sequence[LoggedLine]]:
        self.following += follow
        self.most = max(self.most, self.following)
        try:
            async with aclosing(super().read_log(container_id, tail=tail, since=since, follow=follow)) as log:
                async for lines in log:
                    if follow and self.hasty and not await self._runs(container_id):
                        return
                    yield lines
            if self.meddle is not None:
                await self.meddle()
        finally:
            self.following -= follow

    async def _runs(self, container_id: str) -> bool:
        containers = await super().list_containers()
        return any(each.id == container_id and each.state is ContainerState.RUNNING for each in containers)


class World:
    """An agent's logs over a fake engine, with the events carried as the watcher does."""

    def __init__(
        self, *, viewer_bytes: int = 1 << 20, archive_bytes: int = 1 << 30, service_bytes: int = 1 << 30
    ) -> None:
        self.clock = FakeClock()
        self.engine = CountingEngine("n-1", clock=self.clock)
        self.engine.add_image("app")
        self.tasks = Tasks("test")
        self.viewer_bytes = viewer_bytes
        self.archived = FakeLogArchive()
        self.archive = LogArchive(
            self.engine,
            self.archived,
            clock=self.clock,
            most_seconds=3600.0,
            service_bytes=service_bytes,
            total_bytes=archive_bytes,
        )
        self.restart_agent()
        self.tasks.start("events", self._carry())
        self.last = 0

    async def _carry(self) -> None:
        async for event in self.engine.watch_events():
            self.archive.note_event(event)
            self.logs.note_event(event)

    def restart_agent(self) -> None:
        """What a new agent starts with: nothing remembered."""
        self.logs = Logs(
            self.engine, archive=self.archived, tasks=self.tasks, clock=self.clock, viewer_bytes=self.viewer_bytes
        )

    async def run(self, replica: str, *, service: str = SERVICE, index: int = 0) -> str:
        id_ = await self.engine.create_container(
            ContainerSpec(
                name=f"moorage-{replica}",
                image="app",
                labels=(
                    ("moorage.replica", replica),
                    ("moorage.service", service),
                    ("moorage.index", str(index)),
                ),
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

    async def remove(self, container: str) -> None:
        """Stop and remove it as the agent does, its log archived."""
        await self.engine.stop_container(container, grace_seconds=1)
        await self.archive.keep(container)
        await self.engine.remove_container(container)

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
        self.records: list[LogRecord] = []
        self.open = asyncio.Event()
        self.open.set()
        self._batches = batches
        self._task = world.tasks.start("viewer", self._read())

    async def _read(self) -> None:
        async with aclosing(self._batches) as batches:
            async for batch in batches:
                assert [decode_record(line) for line in batch.encode().splitlines()] == batch.records
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


class Trial:
    """A viewer that resumes whenever it is dropped, while lines are written and whatever there is breaks.

    `write` lets some replica write its next line, so many microseconds back; `query` is what the viewer asks for.
    """

    def __init__(
        self, world: World, choose: random.Random, write: Callable[[int], Awaitable[None]], **query: object
    ) -> None:
        self._world = world
        self._choose = choose
        self._write = write
        self._query = query
        self._seen: list[LogLine] = []
        self.viewer = world.watch(**query)

    async def act(self, step: str) -> None:
        """Let one of `STEPS` befall it."""
        match step:
            case "write":
                await self._write(0)
            case "skewed":
                await self._write(self._choose.choice([1, 500, 20_000]))
            case "burst":
                for _ in range(self._choose.randrange(40)):
                    await self._write(self._choose.choice([0, 0, 1]))
            case "drop":
                await self.resume()
            case "agent":
                self._world.restart_agent()
                await self.resume()
            case "engine":
                await self._world.engine.reconnect()
            case "settle":
                await self._world.settle()
            case _:
                raise AssertionError(f"there is no step {step}")

    async def resume(self) -> None:
        """Drop the viewer, and watch behind the last line that it was told."""
        await self._drop()
        after = {"after": self._seen[-1].id} if self._seen else {}
        self.viewer = self._world.watch(**self._query, **after)

    async def end(self) -> list[str]:
        """All lines that it was told, once everything that was written has come, and come after a resumption too."""
        for _ in range(4):
            await self._world.settle()
        await self.resume()
        for _ in range(4):
            await self._world.settle()
        await self._drop()
        return [line.text for line in self._seen]

    async def _drop(self) -> None:
        await self.viewer.drop()
        self._seen += [record for record in self.viewer.records if isinstance(record, LogLine)]

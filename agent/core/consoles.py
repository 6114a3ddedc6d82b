"""The consoles of this node."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from agent.core.console_session import KILL_SECONDS, ConsoleSession
from agent.core.faults import ConsoleExists, ConsoleGone, ConsolesFull, ContainerNotRunning
from agent.core.ports import Engine
from agent.core.ports_consoles import ConsoleProcesses, ConsoleRecords, Shells
from agent.model import labels
from agent.model.consoles import ConsoleRecord, ConsoleTerms, Ending
from agent.model.engine import ContainerState
from kit.clock import Clock
from kit.tasks import Tasks
from wire.agent.consoles import ConsoleBegin, ConsoleEnded, ConsoleState

_log = logging.getLogger(__name__)

_END_SECONDS: Final = 6.0
_REMEMBERED: Final = 1000


class Consoles:
    """Begins consoles, finds those that run, and ends what an agent before this one left.

    At most `at_once` run; the one that nobody is connected to for longest gives way to a new one. A console is written
    down before its shell starts and forgotten when nothing of it is left. One that ended while nobody was connected can
    be come back to for the rest of its grace.
    """

    def __init__(
        self,
        engine: Engine,
        shells: Shells,
        *,
        processes: ConsoleProcesses,
        records: ConsoleRecords,
        clock: Clock,
        at_once: int,
    ) -> None:
        self._engine = engine
        self._shells = shells
        self._processes = processes
        self._records = records
        self._clock = clock
        self._at_once = at_once
        self._tasks = Tasks("consoles")
        self._sessions: dict[str, ConsoleSession] = {}
        self._beginning: set[str] = set()
        self._ended: dict[str, ConsoleEnded] = {}

    @property
    def running(self) -> int:
        """How many consoles begin, run or are being ended."""
        return len(self._beginning) + sum(session.ended is None for session in self._sessions.values())

    @property
    def connected(self) -> int:
        """How many of them somebody is connected to."""
        return sum(session.viewer is not None for session in self._sessions.values())

    async def recover(self) -> None:
        """End whatever an agent that was killed left of its consoles."""
        for record in await self._records.list():
            if record.console_id in self._sessions or record.console_id in self._beginning:
                continue
            ended = await self._processes.end(
                record.container_id, console_id=record.console_id, leader=None, grace_seconds=KILL_SECONDS
            )
            await self._records.remove(record.console_id)
            _log.info("ended what a console left", extra={"console_id": record.console_id, "processes": ended})

    async def begin(self, console_id: str, asked: ConsoleBegin) -> ConsoleSession:
        """A console with its shell running, and nobody connected yet.

        Raises ConsoleExists, ContainerNotRunning, ConsolesFull, ShellMissing and the engine's faults.
        """
        if console_id in self._sessions or console_id in self._beginning:
            raise ConsoleExists(f"cannot open the console: there is one with the id {console_id}")
        self._beginning.add(console_id)
        try:
            await self._make_room()
            container_id = await self._find_container(asked.replica_id)
            await self._records.write(ConsoleRecord(console_id=console_id, container_id=container_id))
            try:
                shell = await self._shells.open(
                    container_id, console_id=console_id, cols=asked.cols, rows=asked.rows, tty=asked.tty
                )
            except BaseException:
                # Whatever the engine made of it, something may have started.
                await self._tasks.finish("clean up", self._end_left(console_id, container_id))
                raise
            session = ConsoleSession(
                console_id,
                container_id=container_id,
                shell=shell,
                processes=self._processes,
                terms=ConsoleTerms(
                    grace_seconds=asked.grace_seconds,
                    idle_seconds=asked.idle_seconds,
                    limit_seconds=asked.limit_seconds,
                ),
                clock=self._clock,
                tasks=self._tasks,
            )
            self._sessions[console_id] = session
            self._tasks.start("forget", self._forget(session, grace_seconds=asked.grace_seconds))
            return session
        finally:
            self._beginning.discard(console_id)

    def find(self, console_id: str) -> ConsoleSession:
        """A console that runs, or that ended while nobody was connected; raises ConsoleGone."""
        session = self._sessions.get(console_id)
        if session is None:
            raise ConsoleGone("cannot come back to the console: it has ended")
        return session

    def list(self) -> tuple[ConsoleState, ...]:
        """All that run, and how the newest of the others ended."""
        running = tuple(
            ConsoleState(id=session.console_id, is_connected=session.viewer is not None)
            for session in self._sessions.values()
            if session.ended is None
        )
        return running + tuple(
            ConsoleState(id=console_id, is_connected=False, ended=ended) for console_id, ended in self._ended.items()
        )

    async def end(self, console_id: str, *, how: str) -> None:
        """End it and return when nothing of it is left; no error when there is none."""
        session = self._sessions.get(console_id)
        if session is not None:
            session.end(how)
            await session.over.wait()

    async def close(self) -> None:
        """End them all, within a few seconds."""
        for session in self._sessions.values():
            session.end(Ending.LOST.value)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.gather(*(session.over.wait() for session in self._sessions.values()))
        except TimeoutError:
            _log.warning("consoles did not end in time: the next start ends them")
        await self._tasks.close()

    async def _make_room(self) -> None:
        if self.running <= self._at_once:
            return
        left = [each for each in self._sessions.values() if each.detached_at is not None and each.ended is None]
        if not left:
            raise ConsolesFull(f"cannot open the console: {self._at_once} run on this node")
        longest = min(left, key=_detached_at)
        await self.end(longest.console_id, how=Ending.ABANDONED.value)

    async def _find_container(self, replica_id: str) -> str:
        for container in await self._engine.list_containers():
            if container.label(labels.REPLICA) == replica_id and container.state is ContainerState.RUNNING:
                return container.id
        raise ContainerNotRunning("cannot open the console: the replica does not run on this node")

    async def _end_left(self, console_id: str, container_id: str) -> None:
        await self._processes.end(container_id, console_id=console_id, leader=None, grace_seconds=KILL_SECONDS)
        await self._records.remove(console_id)

    async def _forget(self, session: ConsoleSession, *, grace_seconds: float) -> None:
        try:
            await session.over.wait()
            if session.ended is not None:
                self._ended[session.console_id] = session.ended
                if len(self._ended) > _REMEMBERED:
                    del self._ended[next(iter(self._ended))]
            if session.is_clean:
                await self._records.remove(session.console_id)
            if (
                session.detached_at is not None
                and session.ended is not None
                and session.ended.how == Ending.EXITED.value
            ):
                await self._clock.sleep(max(0.0, session.detached_at + grace_seconds - self._clock.monotonic()))
        finally:
            del self._sessions[session.console_id]


def _detached_at(session: ConsoleSession) -> float:
    return session.detached_at or 0.0

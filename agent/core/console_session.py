"""One console: a shell, whoever is connected to it, and the newest of what it said."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from agent.core.ports_consoles import ConsoleProcesses, Shell, Viewer
from agent.model.consoles import ConsoleTerms, Ending
from agent.rules.replay import Replay
from kit.clock import Clock
from kit.faults import Fault
from kit.flow import Valve
from kit.tasks import Tasks
from wire.agent.consoles import REPLAY_BYTES, ConsoleEnded

_log = logging.getLogger(__name__)

KILL_SECONDS: Final = 3.0
"""From the hang-up to the kill."""
_LOOK_SECONDS: Final = 1.0


class ConsoleSession:
    """A console from its shell's start until nothing of it is left; `ended` says how, once that is so.

    The shell goes on without a viewer, for the grace. With one, it is held back to the viewer's pace.
    """

    def __init__(
        self,
        console_id: str,
        *,
        container_id: str,
        shell: Shell,
        processes: ConsoleProcesses,
        terms: ConsoleTerms,
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        self.console_id = console_id
        self.container_id = container_id
        self.shell = shell
        self.ended: ConsoleEnded | None = None
        self.detached_at: float | None = clock.monotonic()
        self.over = asyncio.Event()
        self.is_clean = False
        """Nothing that it started is left."""
        self._processes = processes
        self._terms = terms
        self._clock = clock
        self._tasks = tasks
        self._replay = Replay(REPLAY_BYTES)
        self._input_bytes = 0
        self._began_at = self._active_at = clock.monotonic()
        self._viewer: Viewer | None = None
        self._output: Valve | None = None
        self._input: Valve | None = None
        self._ending: asyncio.Task[None] | None = None
        self._watching = tasks.start("watch", self._watch())
        shell.listen(self._show, self._note_end)

    @property
    def viewer(self) -> Viewer | None:
        """Who is connected."""
        return self._viewer

    def attach(self, viewer: Viewer, *, received: int | None) -> tuple[int, bytes]:
        """Let the viewer have the console, and take it from whoever has it; what was said behind `received` bytes.

        The viewer shows that first, as nothing is written to it before this returns; with how many bytes were ahead.
        """
        former = self._viewer
        self._viewer, self.detached_at = viewer, None
        self._output = Valve(self.shell, viewer, tasks=self._tasks)
        self._input = Valve(viewer, self.shell, tasks=self._tasks)
        if former is not None:
            former.take_away()
        return self._replay.read(received)

    def detach(self, viewer: Viewer) -> None:
        """The viewer has gone; nothing where another has the console."""
        if self._viewer is viewer:
            self._viewer = self._output = self._input = None
            self.detached_at = self._clock.monotonic()

    def write(self, viewer: Viewer, data: bytes) -> None:
        """Type into the shell; nothing where another has the console or it is ending."""
        if self._viewer is not viewer or self._ending is not None:
            return
        self._input_bytes += len(data)
        self._active_at = self._clock.monotonic()
        self.shell.write(data)
        assert self._input is not None
        self._input.check()

    def end_input(self, viewer: Viewer) -> None:
        """Nothing more is typed; nothing where another has the console."""
        if self._viewer is viewer and self._ending is None:
            self.shell.end_input()

    async def resize(self, viewer: Viewer, *, cols: int, rows: int) -> None:
        """Give the terminal another size."""
        if self._viewer is not viewer or self._ending is not None:
            return
        try:
            await self.shell.resize(cols, rows)
        except Fault as fault:
            _log.debug("console not resized", extra={"console_id": self.console_id, "reason": fault.message})

    def end(self, how: str) -> None:
        """Begin to end it with everything it started; `over` is set when nothing is left. Again: nothing."""
        if self._ending is None:
            self._ending = self._tasks.start("end", self._end(how))

    def _show(self, data: bytes) -> None:
        self._active_at = self._clock.monotonic()
        self._replay.add(data)
        if self._viewer is not None:
            self._viewer.write(data)
            assert self._output is not None
            self._output.check()

    def _note_end(self) -> None:
        self.end(Ending.EXITED.value)

    async def _watch(self) -> None:
        while self._ending is None:
            now = self._clock.monotonic()
            due = {
                Ending.LIMIT: self._began_at + self._terms.limit_seconds,
                Ending.IDLE: self._active_at + self._terms.idle_seconds,
            }
            if self.detached_at is not None:
                due[Ending.ABANDONED] = self.detached_at + self._terms.grace_seconds
            first = min(due, key=lambda ending: due[ending])
            if due[first] <= now:
                self.end(first.value)
                return
            await self._clock.sleep(min(_LOOK_SECONDS, due[first] - now))

    async def _end(self, how: str) -> None:
        code = None
        try:
            await self._processes.end(
                self.container_id, console_id=self.console_id, leader=self.shell.leader, grace_seconds=KILL_SECONDS
            )
            self.is_clean = True
            code = await self.shell.fetch_exit_code()
        except Fault as fault:
            _log.warning("console did not end well", extra={"console_id": self.console_id, "reason": fault.message})
        finally:
            self.shell.close()
            self.ended = ConsoleEnded(
                how=how, exit_code=code, input_bytes=self._input_bytes, output_bytes=self._replay.position
            )
            self.over.set()
            if self._viewer is not None:
                self._viewer.end(self.ended)

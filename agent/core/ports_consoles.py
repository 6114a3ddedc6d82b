"""What consoles need from outside: shells in containers, an end to their processes, records that outlive the agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agent.model.consoles import ConsoleRecord, Leader
from wire.agent.consoles import ConsoleEnded


class Shell(Protocol):
    """A shell in a container, on a terminal of its own or on pipes; fulfils `kit.flow.Source` and `kit.flow.Sink`."""

    program: str
    leader: Leader

    def listen(self, on_output: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Begin to tell its output, what it has said so far first, and then once its end."""
        ...

    def write(self, data: bytes) -> None:
        """Give it input, at once; nothing where it has ended."""
        ...

    def end_input(self) -> None:
        """Let it find the end of its input behind what it was given; nothing where it has a terminal or has ended."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether it takes less input than it was given."""
        ...

    async def drained(self) -> None:
        """Return when it has taken what it was given; ConnectionError when it never will."""
        ...

    def pause(self) -> None:
        """Tell no output, so that it has to wait once its terminal is full."""
        ...

    def resume(self) -> None:
        """Tell output again."""
        ...

    async def resize(self, cols: int, rows: int) -> None:
        """Give its terminal another size; nothing where it has none or has ended."""
        ...

    async def fetch_exit_code(self) -> int | None:
        """How it ended, 128 + N for signal N; None while that is not known. Waits a moment for the engine's word."""
        ...

    def close(self) -> None:
        """Drop the connection; what runs behind it goes on."""
        ...


class Shells(Protocol):
    """Opens shells."""

    async def open(self, container_id: str, *, console_id: str, cols: int, rows: int, tty: bool) -> Shell:
        """A shell whose environment names the console, with a terminal if `tty`.

        Raises ShellMissing, ContainerGone and the engine's faults.
        """
        ...


class ConsoleProcesses(Protocol):
    """Ends what consoles started."""

    async def end(self, container_id: str, *, console_id: str, leader: Leader | None, grace_seconds: float) -> int:
        """Hang up all that the console started in the container, and kill what is left after the grace; how many they
        were. Returns when none is left.
        """
        ...


class ConsoleRecords(Protocol):
    """Consoles that run, written down so that an agent that was killed finds what it left."""

    async def write(self, record: ConsoleRecord) -> None:
        """Keep it, before anything of the console is started."""
        ...

    async def remove(self, console_id: str) -> None:
        """Forget it: nothing of it is left."""
        ...

    async def list(self) -> list[ConsoleRecord]:
        """All that are kept."""
        ...


class Viewer(Protocol):
    """Whoever is connected to a console; fulfils `kit.flow.Source` and `kit.flow.Sink`."""

    def write(self, data: bytes) -> None:
        """Show output, at once; nothing where it has gone."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether it takes less than it is shown."""
        ...

    async def drained(self) -> None:
        """Return when it has taken what it was shown; ConnectionError when it never will."""
        ...

    def pause(self) -> None:
        """Take no input from it."""
        ...

    def resume(self) -> None:
        """Take its input again."""
        ...

    def take_away(self) -> None:
        """Tell it that another has the console, and let it go."""
        ...

    def end(self, ended: ConsoleEnded) -> None:
        """Tell it how the console ended, and let it go."""
        ...

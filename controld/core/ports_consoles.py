"""What consoles need from outside: their rows, the agents' ends, the client's end, and files for transcripts."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from controld.core.ports import Transaction
from controld.model.console import Console, ConsoleTicket
from controld.model.node import Node
from controld.model.page import Page
from wire.agent.consoles import ConsoleAsk, ConsoleBegin, ConsoleResume, ConsoleState, ConsoleWord


class ConsoleTicketStore(Protocol):
    """Tickets in the database."""

    async def add(self, tx: Transaction, ticket: ConsoleTicket) -> None:
        """Keep a new ticket."""
        ...

    async def take(self, tx: Transaction, sha256: str) -> ConsoleTicket | None:
        """Remove the ticket and return what it was; None when there is none, or none any more."""
        ...

    async def drop_expired(self, tx: Transaction, now: dt.datetime) -> None:
        """Forget those that were not used in time."""
        ...


class ConsoleStore(Protocol):
    """Consoles in the database."""

    async def add(self, tx: Transaction, console: Console) -> None:
        """Keep a console that begins."""
        ...

    async def get(self, tx: Transaction, console_id: str) -> Console | None:
        """The console, or None."""
        ...

    async def finish(
        self, tx: Transaction, console_id: str, *, at: dt.datetime, how: str, exit_code: int | None
    ) -> Console | None:
        """Note the end of a console, and return it; None when it was noted before."""
        ...

    async def note_transcript(self, tx: Transaction, console_id: str, *, size_bytes: int) -> None:
        """Note how large its transcript is by now."""
        ...

    async def list_open(self, tx: Transaction) -> list[Console]:
        """Those whose end is not known, oldest first."""
        ...

    async def list_recorded(self, tx: Transaction, service_id: str, *, page: Page) -> list[Console]:
        """A page of the service's consoles that have a transcript and one more, newest first."""
        ...

    async def list_older(self, tx: Transaction, moment: dt.datetime, *, limit: int) -> list[str]:
        """The ids of consoles that ended ahead of the moment."""
        ...

    async def delete(self, tx: Transaction, ids: Sequence[str]) -> None:
        """Forget these."""
        ...


class ConsoleLine(Protocol):
    """An open connection to a console on its node; fulfils `kit.flow.Source` and `kit.flow.Sink`."""

    def listen(self, on_output: Callable[[bytes], None]) -> None:
        """Tell output from now on, where it arrives; somebody has to `receive` meanwhile."""
        ...

    async def receive(self) -> ConsoleWord:
        """The agent's next word; raises NodeOffline when the connection has gone."""
        ...

    def write(self, data: bytes) -> None:
        """Send input, at once; nothing where the connection has gone."""
        ...

    def say(self, ask: ConsoleAsk) -> None:
        """Ask something of the console, likewise."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the agent takes less than it is sent."""
        ...

    async def drained(self) -> None:
        """Return when it is not full; ConnectionError when it never will be."""
        ...

    def pause(self) -> None:
        """Take no output."""
        ...

    def resume(self) -> None:
        """Take output again."""
        ...

    async def close(self) -> None:
        """Leave the console as it is; calling it again does nothing."""
        ...


class ConsoleAgents(Protocol):
    """Asks of the nodes' agents about consoles; every call raises NodeOffline and NodeFault."""

    async def open_console(self, node: Node, console_id: str, asked: ConsoleBegin | ConsoleResume) -> ConsoleLine:
        """A connection on which that was asked."""
        ...

    async def list_consoles(self, node: Node) -> tuple[ConsoleState, ...]:
        """The consoles that the node knows, those that ended lately included."""
        ...

    async def end_console(self, node: Node, console_id: str) -> None:
        """End it, and return when nothing of it is left; no error when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Resized:
    """The terminal has another size."""

    cols: int
    rows: int


@dataclass(frozen=True, slots=True)
class InputEnded:
    """The client types no more."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The client wants the console to end."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The client's connection broke; it may come back."""


TerminalNews = Resized | InputEnded | Closed | Gone


class Terminal(Protocol):
    """The client's end; fulfils `kit.flow.Source` and `kit.flow.Sink`."""

    def listen(self, on_input: Callable[[bytes], None]) -> None:
        """Tell input from now on, what came before first."""
        ...

    async def receive(self) -> TerminalNews:
        """What the client says next; after Closed and Gone there is nothing more."""
        ...

    def write(self, data: bytes) -> None:
        """Show output, at once; nothing where the client has gone."""
        ...

    def tell_ready(self, session_id: str, *, replica_index: int, cols: int, rows: int, position: int) -> None:
        """Say that the console runs, and how many bytes of its output are ahead of what follows."""
        ...

    def tell_error(self, message: str) -> None:
        """Say what went wrong."""
        ...

    def tell_exit(self, code: int | None) -> None:
        """Say how the shell ended."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the client takes less than it is shown."""
        ...

    async def drained(self) -> None:
        """Return when it is not full; ConnectionError when it never will be."""
        ...

    def pause(self) -> None:
        """Take no input."""
        ...

    def resume(self) -> None:
        """Take input again."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close the connection in good order, within a few seconds, or else drop it."""
        ...


class TranscriptWriter(Protocol):
    """Writes what one connection to a console shows; every call returns at once, and nothing raises."""

    def note_output(self, data: bytes) -> None:
        """It was shown now."""
        ...

    def note_size(self, cols: int, rows: int) -> None:
        """The terminal has another size from now on."""
        ...

    async def close(self) -> int:
        """Write what is left, and return how large the transcript is; 0 when there is none."""
        ...


class TranscriptFiles(Protocol):
    """Transcripts as files that only this daemon can read."""

    def open(self, console: Console) -> TranscriptWriter:
        """Begin the console's transcript, or go on with it."""
        ...

    def read(self, console_id: str) -> AsyncGenerator[bytes]:
        """A transcript in pieces; raises TranscriptNotFound ahead of the first."""
        ...

    async def remove(self, console_id: str) -> None:
        """Drop a transcript; no error when there is none."""
        ...

"""Consoles on nodes whose shells echo what is typed, for as long as a test lets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controld.core.faults import NodeOffline
from controld.model.node import Node
from wire.agent.consoles import (
    ConsoleAsk,
    ConsoleBegin,
    ConsoleEnd,
    ConsoleEnded,
    ConsoleFailed,
    ConsoleInputEnd,
    ConsoleReady,
    ConsoleResize,
    ConsoleResume,
    ConsoleState,
    ConsoleTaken,
    ConsoleWord,
)


class FakeShell:
    """A console on a node: `begun` is what it was asked for, `sizes` those its terminal had."""

    def __init__(self, asked: ConsoleBegin) -> None:
        self.begun = asked
        self.typed = bytearray()
        self.said = bytearray()
        self.sizes = [(asked.cols, asked.rows)]
        self.ended: ConsoleEnded | None = None
        self.line: FakeLine | None = None

    def show(self, data: bytes) -> None:
        """Let the shell say something."""
        self.said += data
        if self.line is not None:
            self.line.tell(data)

    def end(self, how: str, *, exit_code: int | None) -> None:
        """Let it end."""
        self.ended = ConsoleEnded(how=how, exit_code=exit_code)
        if self.line is not None:
            self.line.words.put_nowait(self.ended)


class FakeLine:
    """A connection to a shell."""

    def __init__(self, shell: FakeShell | None) -> None:
        self._shell = shell
        self.words: asyncio.Queue[ConsoleWord | None] = asyncio.Queue()
        self.is_full = False
        self.is_closed = False
        self.is_paused = False
        self._on_output: Callable[[bytes], None] | None = None
        self._early: list[bytes] = []

    @property
    def shell(self) -> FakeShell:
        """The shell at its other end."""
        assert self._shell is not None
        return self._shell

    def listen(self, on_output: Callable[[bytes], None]) -> None:
        self._on_output = on_output
        for data in self._early:
            on_output(data)

    def tell(self, data: bytes) -> None:
        """Carry output."""
        if self._on_output is None:
            self._early.append(data)
        else:
            self._on_output(data)

    def cut(self) -> None:
        """Break."""
        self.words.put_nowait(None)

    async def receive(self) -> ConsoleWord:
        word = await self.words.get()
        if word is None:
            raise NodeOffline("the line broke")
        return word

    def write(self, data: bytes) -> None:
        self.shell.typed += data
        self.shell.show(data)

    def say(self, ask: ConsoleAsk) -> None:
        match ask:
            case ConsoleResize(cols=cols, rows=rows):
                self.shell.sizes.append((cols, rows))
            case ConsoleInputEnd():
                if not self.shell.begun.tty:
                    self.shell.end("exited", exit_code=0)
            case ConsoleEnd(how=how):
                self.shell.end(how, exit_code=129)
            case _:
                raise AssertionError(ask)

    async def drained(self) -> None:
        return

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    async def close(self) -> None:
        self.is_closed = True
        self._on_output = None
        if self._shell is not None and self._shell.line is self:
            self._shell.line = None


class FakeConsoleAgents:
    """Fulfils `controld.core.ports_consoles.ConsoleAgents`; `refusal` is what the next begin is answered with."""

    def __init__(self) -> None:
        self.shells: dict[str, FakeShell] = {}
        self.silent_nodes: set[str] = set()
        self.refusal: ConsoleFailed | None = None

    async def open_console(self, node: Node, console_id: str, asked: ConsoleBegin | ConsoleResume) -> FakeLine:
        self._check(node)
        shell = self.shells.get(console_id)
        if isinstance(asked, ConsoleBegin) and self.refusal is None:
            shell = self.shells[console_id] = FakeShell(asked)
        if shell is None or shell.ended is not None:
            line = FakeLine(shell)
            line.words.put_nowait(self.refusal or ConsoleFailed(code="console_gone", message="it has ended"))
            return line
        line = FakeLine(shell)
        if shell.line is not None:
            shell.line.words.put_nowait(ConsoleTaken())
        shell.line = line
        received = asked.received if isinstance(asked, ConsoleResume) and asked.received is not None else 0
        line.words.put_nowait(ConsoleReady(shell="/bin/sh", position=received))
        if missed := bytes(shell.said[received:]):
            line.tell(missed)
        return line

    async def list_consoles(self, node: Node) -> tuple[ConsoleState, ...]:
        self._check(node)
        return tuple(
            ConsoleState(id=id_, is_connected=shell.line is not None, ended=shell.ended)
            for id_, shell in self.shells.items()
        )

    async def end_console(self, node: Node, console_id: str) -> None:
        self._check(node)
        if (shell := self.shells.get(console_id)) is not None and shell.ended is None:
            shell.end("evicted", exit_code=129)

    def _check(self, node: Node) -> None:
        if node.id in self.silent_nodes:
            raise NodeOffline(f"cannot ask node {node.name}: it is off")

"""The terminal that a command runs on: raw while a console has it, as it was afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

_READ_BYTES: Final = 64 * 1024
_DEFAULT_SIZE: Final = (120, 32)


class LocalTerminal:
    """Standard input and output as bytes."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._output = sys.stdout.fileno()
        self.is_terminal = os.isatty(self._input)

    @contextlib.contextmanager
    def raw(self) -> Iterator[None]:
        """Give every key as it is pressed, where there are keys."""
        if not self.is_terminal:
            yield
            return
        before = termios.tcgetattr(self._input)
        tty.setraw(self._input, termios.TCSADRAIN)  # what was typed ahead is not thrown away
        try:
            yield
        finally:
            termios.tcsetattr(self._input, termios.TCSADRAIN, before)

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            found = os.get_terminal_size(self._output)
        except OSError:
            return _DEFAULT_SIZE
        return found.columns or _DEFAULT_SIZE[0], found.lines or _DEFAULT_SIZE[1]

    @contextlib.contextmanager
    def noting_size(self, on_change: Callable[[], None]) -> Iterator[None]:
        """Tell when the size changes."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, on_change)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)

    async def keys(self) -> AsyncIterator[bytes]:
        """What is typed, or comes from the pipe until that ends; it is read no faster than it is taken."""
        while data := await self._read():
            yield data

    async def _read(self) -> bytes:
        """What is there once something is; empty at the end."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        try:
            loop.add_reader(self._input, readable.set)
        except PermissionError:  # a file, which is always ready and cannot be waited for
            return await asyncio.to_thread(os.read, self._input, _READ_BYTES)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._input)
        return os.read(self._input, _READ_BYTES)

    async def show(self, data: bytes) -> None:
        """Write it all, however slowly it is taken."""
        await asyncio.to_thread(self._write, data)

    def tell(self, sentence: str) -> None:
        """Say something that is not the console's."""
        sys.stderr.write(f"\r\n[{sentence}]\r\n" if self.is_terminal else f"[{sentence}]\n")
        sys.stderr.flush()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._output, rest) :]

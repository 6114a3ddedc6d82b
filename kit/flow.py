"""Bytes that go from one connection to another at the pace of the slower."""

from __future__ import annotations

import contextlib
from typing import Protocol

from kit.tasks import Tasks


class Sink(Protocol):
    """Takes bytes at once, and says when it has too many."""

    @property
    def is_full(self) -> bool:
        """Whether it should get nothing more for now."""
        ...

    async def drained(self) -> None:
        """Return when it is not full; ConnectionError when it never will be."""
        ...


class Source(Protocol):
    """Gives bytes until it is told to wait."""

    def pause(self) -> None:
        """Give nothing until `resume`."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...


class Valve:
    """Holds a source back from when its sink is full until that has drained; `check` follows each write."""

    def __init__(self, source: Source, sink: Sink, *, tasks: Tasks) -> None:
        self._source = source
        self._sink = sink
        self._tasks = tasks
        self.is_shut = False
        """Whether the source waits."""

    def check(self) -> None:
        """Shut when the sink is full; it opens by itself."""
        if self._sink.is_full and not self.is_shut:
            self.is_shut = True
            self._source.pause()
            self._tasks.start("valve", self._open())

    async def _open(self) -> None:
        try:
            with contextlib.suppress(ConnectionError):  # the sink has gone: its owner learns that elsewhere
                await self._sink.drained()
        finally:
            self.is_shut = False
            self._source.resume()

"""Transcripts of consoles as asciicast files that only this daemon can read."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from controld.core.faults import TranscriptNotFound
from controld.model.console import Console
from controld.rules.asciicast import Asciicast
from kit.clock import Clock
from kit.tasks import Tasks

_log = logging.getLogger(__name__)

_ENDING: Final = ".cast"
_PIECE_BYTES: Final = 256 * 1024
_PACE_SECONDS: Final = 1.0
_MOST_WAITING_BYTES: Final = 1024 * 1024
_EVENT_BYTES: Final = 32

_Event = tuple[float, bytes | str | tuple[int, int]]
"""What was shown, a word of ours or a size, with its moment."""


class TranscriptFiles:
    """One file for each console, of at most `max_bytes`; what people type is never in it, as passwords would be."""

    def __init__(self, folder: Path, *, max_bytes: int, clock: Clock) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock

    def open(self, console: Console) -> TranscriptWriter:
        """Begin the console's transcript, or go on with it."""
        return TranscriptWriter(self.path_of(console.id), console, max_bytes=self._max_bytes, clock=self._clock)

    async def read(self, console_id: str) -> AsyncGenerator[bytes]:
        """The file in pieces."""
        try:
            file = await asyncio.to_thread(self.path_of(console_id).open, "rb")
        except FileNotFoundError as error:
            raise TranscriptNotFound("transcript not found") from error
        try:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece
        finally:
            await asyncio.to_thread(file.close)

    async def remove(self, console_id: str) -> None:
        """Drop the file."""
        await asyncio.to_thread(self.path_of(console_id).unlink, missing_ok=True)

    def path_of(self, console_id: str) -> Path:
        """Where a transcript is."""
        return self._folder / (console_id + _ENDING)


class TranscriptWriter:
    """Collects what is shown and appends it once a second; a disk that does not take it ends the transcript.

    Rendering is done then too, so that it is no part of a key's way back. What comes faster than it can be written is
    left out, and the transcript says so.
    """

    def __init__(self, path: Path, console: Console, *, max_bytes: int, clock: Clock) -> None:
        self._path = path
        self._console = console
        self._max_bytes = max_bytes
        self._clock = clock
        self._cast = Asciicast()
        self._started = clock.monotonic() - max(0.0, (clock.now() - console.started_at).total_seconds())
        self._waiting: list[_Event] = []
        self._waiting_bytes = 0
        self._left_out = 0
        self._size: int | None = None
        self._is_full = False
        self._tasks = Tasks("transcript")
        self._tasks.start("write", self._write_steadily())

    def note_output(self, data: bytes) -> None:
        """It was shown now."""
        if self._is_full:
            return
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self._left_out += len(data)
            return
        if self._left_out:
            self._add(f"{self._left_out} bytes left out")
            self._left_out = 0
        self._add(data)
        self._waiting_bytes += len(data)

    def note_size(self, cols: int, rows: int) -> None:
        """The terminal has another size from now on."""
        if not self._is_full:
            self._add((cols, rows))

    async def close(self) -> int:
        """Write what is left, and return the size in bytes."""
        await self._tasks.close()
        await self._write()
        return self._size or 0

    def _add(self, what: bytes | str | tuple[int, int]) -> None:
        self._waiting.append((self._seconds(), what))
        self._waiting_bytes += _EVENT_BYTES

    def _seconds(self) -> float:
        return self._clock.monotonic() - self._started

    async def _write_steadily(self) -> None:
        while not self._is_full:
            await self._clock.sleep(_PACE_SECONDS)
            await self._tasks.finish("append", self._write())

    async def _write(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if self._is_full and not waiting:
            return
        try:
            self._size = await asyncio.to_thread(self._append, waiting)
        except OSError as error:
            self._is_full = True
            _log.warning(
                "transcript not written", extra={"console_id": self._console.id, "reason": error.strerror or str(error)}
            )

    def _append(self, events: list[_Event]) -> int:
        """Append what still fits, behind a header where there is none."""
        data = b"".join([self._render(seconds, what) for seconds, what in events])
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            size = os.fstat(descriptor).st_size
            if size == 0:
                size += file.write(
                    self._cast.render_header(
                        cols=self._console.cols,
                        rows=self._console.rows,
                        timestamp=int(self._console.started_at.timestamp()),
                        title=f"replica {self._console.replica_index} of service {self._console.service_id}",
                    )
                )
            room = self._max_bytes - size
            if len(data) > room and not self._is_full:
                self._is_full = True
                data = data[: data.rfind(b"\n", 0, max(0, room)) + 1] if room > 0 else b""
                data += self._cast.render_marker(self._seconds(), "the transcript is as long as it may be")
            elif self._is_full:
                data = b""
            return size + file.write(data)

    def _render(self, seconds: float, what: bytes | str | tuple[int, int]) -> bytes:
        if isinstance(what, bytes):
            return self._cast.render_output(seconds, what)
        if isinstance(what, str):
            return self._cast.render_marker(seconds, what)
        cols, rows = what
        return self._cast.render_size(seconds, cols=cols, rows=rows)

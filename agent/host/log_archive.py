"""Logs of removed containers on disk: a file for each, of compressed frames with an index behind them.

A file is a sequence of zstd frames whose content is JSON, a line for each line of the log, so that stock `zstd -dc`
shows it. The index stands in a skippable frame at the end, which zstd passes over: what each frame holds, and where.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import logging
import os
import struct
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import zstandard

from agent.core.faults import ArchiveFull, ArchiveNotWritten
from agent.model.engine import EPOCH
from agent.model.log_archive import ArchivedLog
from agent.model.logs import Entry
from kit.files import Draft, make_folder

_log = logging.getLogger(__name__)

T = TypeVar("T")

SUFFIX: Final = ".jsonl.zst"
_LEVEL: Final = 3
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_SKIPPABLE: Final = struct.Struct("<II")
_SKIPPABLE_MAGIC: Final = 0x184D2A50
_TRAILER: Final = struct.Struct("<I8s")
_TRAILER_MAGIC: Final = b"moorlog1"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class _Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    at: dt.datetime
    stream: str
    text: str
    nth: int = 0
    """Its number among the lines of the log with the same stamp."""
    partial: bool = False


class _Frame(msgspec.Struct, frozen=True, gc=False, array_like=True):
    start: int
    size: int
    lines: int
    first_usec: int
    last_usec: int


class _Index(msgspec.Struct, frozen=True):
    subject: str
    container: str
    replica_id: str
    replica_index: int | None
    kept_usec: int
    frames: tuple[_Frame, ...]


_encoder: Final = msgspec.json.Encoder()
_lines: Final = msgspec.json.Decoder(_Line)
_index: Final = msgspec.json.Decoder(_Index)


class DiskLogArchive:
    """Fulfils `agent.core.ports_logs.LogArchiveFiles` with a folder for each service; `open` has to come first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs: dict[str, dict[str, ArchivedLog]] = {}

    async def open(self) -> None:
        """Learn what is there, and clear away what was being written when an agent died."""
        for log in await asyncio.to_thread(self._scan):
            self._logs.setdefault(log.subject, {})[log.container] = log

    def list_all(self) -> tuple[ArchivedLog, ...]:
        return _sort(log for logs in self._logs.values() for log in logs.values())

    def list_of(self, subject: str) -> tuple[ArchivedLog, ...]:
        return _sort(self._logs.get(subject, {}).values())

    async def begin(self, *, subject: str, container: str, replica_id: str, replica_index: int | None) -> _DiskDraft:
        path = self._locate(subject, container)

        def make() -> Draft:
            make_folder(path.parent)
            return Draft(path)

        draft = await _write(path, make)
        index = _Index(
            subject=subject,
            container=container,
            replica_id=replica_id,
            replica_index=replica_index,
            kept_usec=0,
            frames=(),
        )
        return _DiskDraft(draft, index, kept=self._note)

    async def read(self, log: ArchivedLog, *, from_usec: int) -> AsyncGenerator[Sequence[Entry]]:
        path = self._locate(log.subject, log.container)
        found = await asyncio.to_thread(_read_index, path)
        for frame in found[0].frames if found is not None else ():
            if frame.last_usec >= from_usec:
                yield await asyncio.to_thread(_read_frame, path, frame, log=log)

    async def read_tail(self, log: ArchivedLog, count: int) -> Sequence[Entry]:
        return await asyncio.to_thread(_read_tail, self._locate(log.subject, log.container), log, count=count)

    async def remove(self, log: ArchivedLog) -> None:
        known = self._logs.get(log.subject, {})
        if known.pop(log.container, None) is not None and not known:
            del self._logs[log.subject]
        await asyncio.to_thread(_remove, self._locate(log.subject, log.container))

    def _note(self, log: ArchivedLog) -> None:
        self._logs.setdefault(log.subject, {})[log.container] = log

    def _locate(self, subject: str, container: str) -> Path:
        return self._folder / subject / f"{container}{SUFFIX}"

    def _scan(self) -> list[ArchivedLog]:
        found: list[ArchivedLog] = []
        for path in sorted(self._folder.glob("*/*")):
            if path.name.startswith("."):
                _remove(path)
            elif path.name.endswith(SUFFIX):
                known = _read_index(path)
                if known is not None:
                    found.append(_describe(*known))
        return found


class _DiskDraft:
    """Fulfils `agent.core.ports_logs.LogDraft`."""

    def __init__(self, draft: Draft, index: _Index, *, kept: Callable[[ArchivedLog], None]) -> None:
        self._draft = draft
        self._index = index
        self._kept = kept
        self._frames: list[_Frame] = []
        # A caller that is cancelled leaves its thread at work; what comes next waits for it.
        self._lock = threading.Lock()

    async def add(self, entries: Sequence[Entry]) -> None:
        await _write(self._draft.path, lambda: self._add(entries))

    async def commit(self, *, kept_usec: int) -> ArchivedLog:
        log = await _write(self._draft.path, lambda: self._commit(kept_usec))
        self._kept(log)
        return log

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _add(self, entries: Sequence[Entry]) -> None:
        content = _encoder.encode_lines([_make_line(entry) for entry in entries])
        data = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(content)
        stamps = [entry.usec for entry in entries]
        with self._lock:
            start = self._draft.size_bytes
            self._draft.write(data)
            self._frames.append(
                _Frame(start=start, size=len(data), lines=len(entries), first_usec=min(stamps), last_usec=max(stamps))
            )

    def _commit(self, kept_usec: int) -> ArchivedLog:
        with self._lock:
            index = msgspec.structs.replace(
                self._index,
                kept_usec=max(kept_usec, *(frame.last_usec + 1 for frame in self._frames)),
                frames=tuple(self._frames),
            )
            content = _encoder.encode(index)
            size = len(content) + _TRAILER.size
            head, trailer = _SKIPPABLE.pack(_SKIPPABLE_MAGIC, size), _TRAILER.pack(len(content), _TRAILER_MAGIC)
            self._draft.write(head + content + trailer)
            self._draft.replace()
            return _describe(index, self._draft.size_bytes)

    def _close(self) -> None:
        with self._lock:
            self._draft.close()


def _make_line(entry: Entry) -> _Line:
    at = EPOCH + dt.timedelta(microseconds=entry.usec)
    return _Line(at=at, stream=entry.stream, text=entry.text, nth=entry.nth, partial=entry.partial)


def _describe(index: _Index, size_bytes: int) -> ArchivedLog:
    return ArchivedLog(
        subject=index.subject,
        container=index.container,
        replica_id=index.replica_id,
        replica_index=index.replica_index,
        first_usec=min(frame.first_usec for frame in index.frames),
        last_usec=max(frame.last_usec for frame in index.frames),
        kept_usec=index.kept_usec,
        size_bytes=size_bytes,
    )


def _sort(logs: Iterable[ArchivedLog]) -> tuple[ArchivedLog, ...]:
    return tuple(sorted(logs, key=attrgetter("kept_usec")))


async def _write(path: Path, work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        if error.errno in _FULL:
            raise ArchiveFull(f"cannot archive a log: there is no room for {path}") from error
        raise ArchiveNotWritten(f"cannot archive a log: {path} is not written: {error}") from error


def _read_index(path: Path) -> tuple[_Index, int] | None:
    """The index and the size of the file; None when it is gone or is not one of ours."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            trailer = os.pread(file.fileno(), _TRAILER.size, max(0, size - _TRAILER.size))
            length, magic = _TRAILER.unpack(trailer)
            if magic != _TRAILER_MAGIC:
                raise ValueError("it does not end with an index")
            return _index.decode(os.pread(file.fileno(), length, size - _TRAILER.size - length)), size
    except FileNotFoundError:
        return None
    except (OSError, ValueError, struct.error, msgspec.MsgspecError) as error:
        _log.error("archived log not read", extra={"path": str(path), "error": str(error)})
        return None


def _read_frame(path: Path, frame: _Frame, *, log: ArchivedLog) -> list[Entry]:
    """Its entries; none when the file is gone or damaged there."""
    try:
        # Many logs may be read side by side: none is held open.
        with path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), frame.size, frame.start)
        lines = _lines.decode_lines(zstandard.ZstdDecompressor().decompress(data))
    except FileNotFoundError:
        return []
    except (OSError, zstandard.ZstdError, msgspec.MsgspecError) as error:
        _log.error("part of an archived log not read", extra={"path": str(path), "error": str(error)})
        return []
    return [
        Entry(
            container=log.container,
            replica_id=log.replica_id,
            replica_index=log.replica_index,
            usec=(line.at - EPOCH) // _MICROSECOND,
            nth=line.nth,
            stream=line.stream,
            text=line.text,
            partial=line.partial,
        )
        for line in lines
    ]


def _read_tail(path: Path, log: ArchivedLog, *, count: int) -> list[Entry]:
    found = _read_index(path)
    frames: list[list[Entry]] = []
    missing = count
    for frame in reversed(found[0].frames if found is not None else ()):
        if missing <= 0:
            break
        frames.append(_read_frame(path, frame, log=log))
        missing -= frame.lines
    entries = [entry for each in reversed(frames) for entry in each]
    return entries[max(0, len(entries) - count) :]


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.error("archived log not removed", extra={"path": str(path), "error": str(error)})
    with contextlib.suppress(OSError):
        path.parent.rmdir()

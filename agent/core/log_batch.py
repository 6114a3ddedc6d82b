"""Batches of log records: many lines that travel together and are encoded once, however many read them."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from operator import attrgetter
from typing import Final

from agent.model.log_columns import EntryColumns
from agent.model.logs import Entry, Position
from agent.rules.log_cursor import Run, advance, render_ids
from agent.rules.log_events import render_dropped, render_events, render_place
from agent.rules.log_filter import LogFilter
from wire.agent.logs import LinesDropped, LogLine, LogPlace, LogRecord, encode_records

BATCH_BYTES: Final = 64 * 1024
_LINE_OVERHEAD: Final = 160

_get_text: Final = attrgetter("text")


class LogBatch:
    """Entries in order; without any, the word that `dropped` lines are missing behind `last_id`, or that nothing is.

    `last_id` is the cursor behind the last entry; `size_bytes` is about what they take in memory.
    """

    __slots__ = ("_compact", "_encoded", "_framed", "count", "dropped", "last_id", "runs", "size_bytes")

    def __init__(
        self, runs: Sequence[Run], *, dropped: int = 0, last_id: str = "", framed: tuple[str, bytes] | None = None
    ) -> None:
        self.runs = runs
        self.count = sum(len(run.entries) for run in runs)
        self.dropped = dropped
        self.last_id = last_id
        self.size_bytes = sum(measure(run.entries) for run in runs) if framed is None else len(framed[1])
        self._encoded: bytes | None = None
        self._framed = framed
        self._compact: LogBatch | None = None

    @property
    def records(self) -> list[LogRecord]:
        """The entries as they are told one by one."""
        if self.dropped:
            return [LinesDropped(count=self.dropped)]
        if not self.runs:
            return [LogPlace(id=self.last_id)]
        return [
            LogLine(
                id=id_,
                at=entry.at,
                replica_id=entry.replica_id,
                stream=entry.stream,
                text=entry.text,
                partial=entry.partial,
                replica_index=entry.replica_index,
            )
            for run in self.runs
            for entry, id_ in zip(run.entries, render_ids(run), strict=True)
        ]

    def encode(self) -> bytes:
        """The records as NDJSON; made with the first call and kept."""
        if self._encoded is None:
            self._encoded = encode_records(self.records)
        return self._encoded

    def frame(self, prefix: str) -> bytes:
        """The records as events whose ids begin with the prefix; made with the first call and kept."""
        if self._framed is None or self._framed[0] != prefix:
            if self.dropped:
                events = render_dropped(self.dropped, id=prefix + self.last_id if self.last_id else "")
            elif not self.runs:
                events = render_place(prefix + self.last_id)
            else:
                events = b"".join([render_events(run, prefix=prefix) for run in self.runs])
            self._framed = (prefix, events)
        return self._framed[1]

    def compact(self, prefix: str) -> LogBatch:
        """The batch as these events alone, which take a fraction of the memory; made with the first call and kept."""
        events = self.frame(prefix)
        if self._compact is None or self._compact.frame(prefix) is not events:
            self._compact = LogBatch((), dropped=self.dropped, last_id=self.last_id, framed=(prefix, events))
            self._compact.count = self.count
        return self._compact


def measure(entries: Sequence[Entry]) -> int:
    """About how many bytes the entries take."""
    if isinstance(entries, EntryColumns):
        return entries.lines.characters + _LINE_OVERHEAD * len(entries)
    return sum(map(len, map(_get_text, entries))) + _LINE_OVERHEAD * len(entries)


class Pile:
    """Entries that wait to travel together; columns stay what they are."""

    __slots__ = ("parts", "size_bytes")

    def __init__(self) -> None:
        self.parts: list[Sequence[Entry]] = []
        self.size_bytes = 0

    def add(self, entries: Sequence[Entry]) -> int:
        """Put them behind the others; about how many bytes they take."""
        size_bytes = measure(entries)
        self.size_bytes += size_bytes
        last = self.parts[-1] if self.parts else None
        if isinstance(entries, EntryColumns):
            self.parts.append(entries)
        elif isinstance(last, list):
            last += entries
        else:
            self.parts.append([*entries])
        return size_bytes


def make_batch(parts: Iterable[Sequence[Entry]], positions: MutableMapping[str, Position]) -> LogBatch:
    """The entries as a batch for a reader who stands at the positions, which move on behind them."""
    runs = [run for entries in parts for run in advance(positions, entries)]
    last = runs[-1]
    return LogBatch(runs, last_id=render_ids(Run([last.entries[-1]], last.rest))[0])


def narrow(batch: LogBatch, wanted: LogFilter) -> LogBatch | None:
    """The batch without what is not asked for; None where nothing is left."""
    if batch.dropped:
        return batch
    runs = [Run(kept, run.rest) for run in batch.runs if (kept := wanted.keep(run.entries))]
    return LogBatch(runs, last_id=batch.last_id) if runs else None


def make_place(batch: LogBatch) -> LogBatch:
    """The word that nothing of the batch was asked for."""
    return LogBatch((), last_id=batch.last_id)


def make_notice(count: int, *, last_id: str) -> LogBatch:
    """The word that so many lines are missing behind the one with this id."""
    return LogBatch((), dropped=count, last_id=last_id)

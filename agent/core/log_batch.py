"""Batches of log records: many lines that travel together and are encoded once, however many read them."""

from __future__ import annotations

import datetime as dt
from collections.abc import MutableMapping, Sequence
from typing import Final

from agent.core.log_reader import EPOCH
from agent.model.logs import Entry, Position
from agent.rules.log_cursor import advance
from wire.agent.logs import LinesDropped, LogLine, LogRecord, encode_records

BATCH_BYTES: Final = 64 * 1024
_LINE_OVERHEAD: Final = 160


class LogBatch:
    """Records in order; `size_bytes` is about what they take in memory."""

    __slots__ = ("_encoded", "records", "size_bytes")

    def __init__(self, records: Sequence[LogRecord], *, size_bytes: int) -> None:
        self.records = records
        self.size_bytes = size_bytes
        self._encoded: bytes | None = None

    def encode(self) -> bytes:
        """The records as NDJSON; made with the first call and kept."""
        if self._encoded is None:
            self._encoded = encode_records(self.records)
        return self._encoded


def measure(entry: Entry) -> int:
    """About how many bytes the entry takes."""
    return len(entry.text) + _LINE_OVERHEAD


def make_batch(entries: Sequence[Entry], positions: MutableMapping[str, Position]) -> LogBatch:
    """The entries as records for a reader who stands at the positions, which move on behind them."""
    cursors = advance(positions, entries)
    records = [
        LogLine(
            id=cursor,
            at=EPOCH + dt.timedelta(microseconds=entry.usec),
            replica_id=entry.replica_id,
            stream=entry.stream,
            text=entry.text,
            partial=entry.partial,
        )
        for entry, cursor in zip(entries, cursors, strict=True)
    ]
    return LogBatch(records, size_bytes=sum(map(measure, entries)))


def make_notice(count: int) -> LogBatch:
    """The word that so many lines are missing here."""
    return LogBatch([LinesDropped(count=count)], size_bytes=0)

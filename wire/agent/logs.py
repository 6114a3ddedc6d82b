"""Logs of a node's replicas.

`GET /logs?service_id=&tail=&follow=&since=&after=` answers NDJSON of `LogRecord`, oldest first: the last `tail` lines
of those since `since` (RFC 3339), and with `follow=true` what comes from then on. `after` is the `id` of a record and
takes the place of both: the answer starts with the one behind it, without loss or repeat while the log still holds it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import msgspec

from wire.base import Lenient


class LogQuery(Lenient, frozen=True):
    """Which lines are asked for."""

    service_id: str
    tail: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    """Absent: 200 without `since`, else all."""
    follow: bool = False
    since: dt.datetime | None = None
    after: str | None = None


class LogLine(Lenient, frozen=True, tag_field="t", tag="line"):
    """One line that a replica wrote."""

    id: str
    """Names the place behind this line in the logs of the service on this node; sorts nothing."""
    at: dt.datetime
    replica_id: str
    stream: str
    """`stdout` or `stderr`."""
    text: str
    partial: bool = False
    """The line goes on in the next record of this replica and stream."""


class LinesDropped(Lenient, frozen=True, tag_field="t", tag="dropped"):
    """The reader was too slow: so many lines are missing here."""

    count: int


LogRecord = LogLine | LinesDropped

_encoder = msgspec.json.Encoder()
_records: msgspec.json.Decoder[LogRecord] = msgspec.json.Decoder(LogRecord)


def decode_record(line: bytes) -> LogRecord:
    """One NDJSON line; raises msgspec.MsgspecError."""
    return _records.decode(line)


def encode_records(records: Sequence[LogRecord]) -> bytes:
    """The records as NDJSON."""
    return _encoder.encode_lines(records)

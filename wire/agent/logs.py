"""Logs of a node's replicas and of its jobs' runs.

`GET /logs?service_id=&job_run=&tail=&follow=&since=&after=` answers NDJSON of `LogRecord`, oldest first: the last
`tail` lines of those since `since` (RFC 3339), and with `follow=true` what comes from then on. `after` is the `id` of a
record and takes the place of both: the answer starts with the one behind it, without loss or repeat while the log still
holds it. With `frames` the answer is server-sent events that a client may be shown as they are: lines as `data`, each
with its `id`, `dropped` events, and empty lines that keep the connection.

`until`, `grep`, `grep_regex`, `ignore_case`, `replica_ids` and `replica_indices` narrow what is told, and `tail` counts
what is left. Ids stay places in the whole log: behind one of them the log goes on whatever it was found by.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from wire.base import Lenient

EVENTS: Final = "text/event-stream"
"""The content type of an answer with `frames`."""


class LogQuery(Lenient, frozen=True):
    """Which lines are asked for."""

    service_id: str = ""
    """Whose replicas' lines; empty where `job_run` says whose."""
    job_run: str | None = None
    """The key of an attempt of a job's run: the lines are that attempt's."""
    tail: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    """Absent: 200 without `since`, else all."""
    follow: bool = False
    since: dt.datetime | None = None
    after: str | None = None
    until: dt.datetime | None = None
    """Only lines stamped ahead of this moment."""
    grep: str = ""
    """Only lines that hold this text."""
    grep_regex: str = ""
    """Only lines in which this RE2 expression matches."""
    ignore_case: bool = False
    """In both of these, upper and lower case are one."""
    replica_ids: tuple[str, ...] = ()
    """Only lines of these replicas, and of those of `replica_indices`; both empty: of all."""
    replica_indices: tuple[int, ...] = ()
    frames: str | None = None
    """The answer is server-sent events instead, whose ids are those of the records behind this prefix; None: NDJSON."""

    @property
    def is_narrowed(self) -> bool:
        """Whether some of the lines are not asked for."""
        return bool(self.until or self.grep or self.grep_regex or self.replica_ids or self.replica_indices)


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
    replica_index: int | None = None
    """The replica's number; null for a job's run, and where its container does not say."""


class LinesDropped(Lenient, frozen=True, tag_field="t", tag="dropped"):
    """The reader was too slow: so many lines are missing here."""

    count: int


class LogPlace(Lenient, frozen=True, tag_field="t", tag="place"):
    """The log was read up to here and nothing more of it was asked for; narrowed queries hear it once a second."""

    id: str


LogRecord = LogLine | LinesDropped | LogPlace

_encoder = msgspec.json.Encoder()
_records: msgspec.json.Decoder[LogRecord] = msgspec.json.Decoder(LogRecord)


def decode_record(line: bytes) -> LogRecord:
    """One NDJSON line; raises msgspec.MsgspecError."""
    return _records.decode(line)


def encode_records(records: Sequence[LogRecord]) -> bytes:
    """The records as NDJSON."""
    return _encoder.encode_lines(records)

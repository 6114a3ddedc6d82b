"""What is asked of a service's log, and the JSON of its lines."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from typing import Annotated, Final

import msgspec

from controld.api.v1.moments import Moment, read_moment
from controld.model.observed import LogText
from controld.rules.moments import render_moment
from kit.faults import Invalid
from kit.text_filter import MOST_CHARACTERS
from wire.agent.logs import LogQuery
from wire.base import Lenient

_MOST_REPLICAS: Final = 64

_Words = Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)]


class LineFormat(enum.Enum):
    """How lines are told."""

    TEXT = "text"
    JSON = "json"


class WordQuery(Lenient, frozen=True):
    """Which lines are asked for by moment and text."""

    since: Moment = None
    """From this moment on."""
    until: Moment = None
    """Ahead of this moment."""
    grep: _Words = ""
    """Only lines that hold this text."""
    grep_regex: _Words = ""
    """Only lines in which this RE2 expression matches."""
    ignore_case: bool = False
    """Upper and lower case are one in both."""


class LineQuery(WordQuery, frozen=True):
    """Which lines of a service are asked for."""

    replica: Annotated[list[str], msgspec.Meta(max_length=_MOST_REPLICAS)] = msgspec.field(default_factory=list)
    """Only lines of these replicas, each by its id or its index."""

    def resolve(self, now: dt.datetime, *, tail: int | None = None) -> LogQuery:
        """The query in absolute words; raises Invalid."""
        ids, indices = _split_replicas(self.replica)
        return LogQuery(
            tail=tail,
            since=read_moment("since", self.since, now),
            until=read_moment("until", self.until, now),
            grep=self.grep,
            grep_regex=self.grep_regex,
            ignore_case=self.ignore_case,
            replica_ids=ids,
            replica_indices=indices,
        )


class LogListQuery(LineQuery, frozen=True):
    """Which lines are asked for, and how they are told."""

    tail: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    """The last so many of them; absent: 200, and in a stream with `since` all."""
    format: LineFormat = LineFormat.TEXT
    """`json` tells each line with its moment, replica and stream."""
    timestamps: bool = False
    """Put the moment of each line ahead of its text."""

    @property
    def is_plain(self) -> bool:
        """Whether lines are told as they were written, and nothing else of them."""
        return self.format is LineFormat.TEXT and not self.timestamps


class ExportFormat(enum.Enum):
    """How lines are written to a file."""

    TEXT = "text"
    NDJSON = "ndjson"


class LogExportQuery(LineQuery, frozen=True):
    """Which lines are exported, and how."""

    format: ExportFormat = ExportFormat.TEXT
    """`ndjson` writes each line as an object with its moment, node, replica and stream."""
    timestamps: bool = False
    """Put the moment of each line ahead of its text."""

    partial: bool = False
    """Export what there is though nodes do not answer, and name those in a header."""


class LogRecordShape(Lenient, frozen=True, kw_only=True):
    """One line with all that is known of it."""

    recorded_at: dt.datetime
    """When the line reached the engine."""
    node_id: str
    replica_id: str
    replica_index: int | None
    """Null where it is not known any more."""
    stream: str
    """`stdout` or `stderr`."""
    text: str
    partial: bool
    """The line was longer than 16 KiB and goes on in the next one of this replica and stream."""


class LogLineShape(LogRecordShape, frozen=True, kw_only=True):
    """The same, for who may want to go on behind it."""

    id: str
    """Resumes a stream behind this line, as `Last-Event-ID`."""


def render_line(news: LogText) -> LogLineShape:
    """One line as a stream tells it to programs."""
    return LogLineShape(id=news.id, **msgspec.structs.asdict(render_record(news)))


def render_record(news: LogText) -> LogRecordShape:
    """One line as an export writes it for programs."""
    line = news.line
    return LogRecordShape(
        recorded_at=line.at,
        node_id=news.node_id,
        replica_id=line.replica_id,
        replica_index=line.replica_index,
        stream=line.stream,
        text=line.text,
        partial=line.partial,
    )


def render_text(news: LogText, *, timestamps: bool) -> str:
    """One line as it was written, behind its moment where that is asked for."""
    return f"{render_moment(news.line.at)} {news.text}" if timestamps else news.text


def _split_replicas(named: list[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    ids: list[str] = []
    indices: list[int] = []
    for name in named:
        if name.isascii() and name.isdigit() and len(name) < 10:
            indices.append(int(name))
            continue
        try:
            ids.append(str(uuid.UUID(name)))
        except ValueError as error:
            raise Invalid(
                f"cannot read query: replica {name[:40]!r} is neither an id nor an index", details={"field": "replica"}
            ) from error
    return tuple(ids), tuple(indices)

"""Logs whose lines are kept, as event streams: each line with its number as id, then `done` with the last word."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Annotated, Final, TypeVar

import msgspec

from controld.api.v1.moments import read_moment
from controld.api.v1.shapes_log import LineFormat, WordQuery
from controld.core.kept_logs import KeptQuery
from controld.model.caller import Caller
from controld.model.deployment import LogLine
from controld.rules.deployment_log import render_line
from kit.clock import Clock
from kit.faults import Invalid
from kit.http.sse import EventStream, frame
from kit.http.surface import Ask
from kit.text_filter import make_text_filter
from wire.base import Lenient

S = TypeVar("S", bound=enum.Enum)

_MOST_DIGITS: Final = 18


class LogQuery(Lenient, frozen=True):
    """From where a log is read; a header `Last-Event-ID` goes before it."""

    since: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    """The `id` of the last event that is known; absent: the newest 10,000 lines."""


class RunLogQuery(WordQuery, frozen=True):
    """Which lines of a run's log are asked for. `since` may also be the `id` of the last event that is known; a header
    `Last-Event-ID` goes before it.
    """

    tail: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | None = None
    """The last so many of them; absent: those among the newest 10,000 lines, and in a stream with words all."""
    format: LineFormat = LineFormat.TEXT
    """`json` tells each line with its moment and phase apart."""

    def resolve(self, now: dt.datetime, *, after: int | None) -> KeptQuery:
        """The query in absolute words, behind the line `after`; raises Invalid."""
        since = None
        if self.since is not None and is_number(self.since):
            after = int(self.since) if after is None else after
        elif after is None:
            # Whoever resumes has been told since then, and `15m` would mean another moment by now.
            since = read_moment("since", self.since, now)
        until = read_moment("until", self.until, now)
        matches = make_text_filter(contains=self.grep, expression=self.grep_regex, ignore_case=self.ignore_case)
        return KeptQuery(after=after, since=since, until=until, matches=matches, tail=self.tail)


class RunLineShape(Lenient, frozen=True):
    """One line of a run's log; whoever has it resumes a stream behind it by its `id`, as `Last-Event-ID`."""

    id: int
    recorded_at: dt.datetime
    phase: str
    """`STDOUT` and `STDERR` are the run's output."""
    text: str


def render_kept(line: LogLine, line_format: LineFormat) -> str | RunLineShape:
    """One line as it is told."""
    if line_format is LineFormat.JSON:
        return RunLineShape(id=line.seq, recorded_at=line.at, phase=line.phase, text=line.text)
    return render_line(line)


def is_number(text: str) -> bool:
    """Whether the text can be the number of a line."""
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def read_last_id(ask: Ask) -> int | None:
    """The number that Last-Event-ID names, None without the header; raises Invalid."""
    last = ask.request.headers.get("Last-Event-ID", "").strip()
    if not last:
        return None
    if not is_number(last):
        raise Invalid("cannot follow the log: Last-Event-ID is not the id of one of its events")
    return int(last)


def read_position(ask: Ask) -> int | None:
    """The number of the last line that the caller has; raises Invalid."""
    query: LogQuery = ask.query
    last = read_last_id(ask)
    return query.since if last is None else last


async def stream_log(
    ask: Ask,
    news: AsyncGenerator[list[LogLine] | S],
    *,
    clock: Clock,
    admit: Callable[[Caller], Awaitable[None]],
    line_format: LineFormat = LineFormat.TEXT,
) -> object:
    """Send the lines as they come, and how it stood when there were no more; `admit` is asked again meanwhile."""
    async with aclosing(news), EventStream(ask, clock=clock, admit=admit) as stream:
        async for each in news:
            if isinstance(each, list):
                await stream.send(b"".join(_frame(line, line_format) for line in each))
            else:
                await stream.send(frame(msgspec.json.encode({"status": each.value}), event="done"))
        return stream.response


def _frame(line: LogLine, line_format: LineFormat) -> bytes:
    shown = render_kept(line, line_format)
    return frame(shown if isinstance(shown, str) else msgspec.json.encode(shown), id=str(line.seq))

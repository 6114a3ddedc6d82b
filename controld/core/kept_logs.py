"""Logs whose lines are kept: read as far as they are written, and followed until what they are about has ended."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from typing import Final, Generic, Protocol, TypeVar

from controld.core.faults import TooManyStreams
from controld.core.ports import Database, Feed, Transaction
from controld.model.change import EVERYTHING
from controld.model.deployment import LogLine

S = TypeVar("S")

_BACKLOG_LINES: Final = 10_000
_PAGE_LINES: Final = 1_000
_STREAMS: Final = 64


class LineStore(Protocol):
    """Lines by whose they are."""

    async def read(self, tx: Transaction, owner_id: str, /, *, after: int, limit: int) -> list[LogLine]:
        """Up to `limit` lines with a greater `seq`, oldest first."""
        ...

    async def last_seq(self, tx: Transaction, owner_id: str, /) -> int:
        """The number of the newest line, 0 when there is none."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptQuery:
    """Which lines of a log are asked for; None asks for nothing in particular."""

    after: int | None = None
    """Behind the line with this number."""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    """Ahead of this moment."""
    matches: Callable[[str], bool] | None = None
    tail: int | None = None
    """So many of the last of them; None: those among the newest 10,000 lines where nothing else is asked for."""

    @property
    def is_selective(self) -> bool:
        """Whether some lines are asked for and others not."""
        return self.since is not None or self.until is not None or self.matches is not None

    def takes(self, line: LogLine) -> bool:
        """Whether the line is asked for."""
        return (
            (self.since is None or line.at >= self.since)
            and (self.until is None or line.at < self.until)
            and (self.matches is None or self.matches(line.text))
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Standing(Generic[S]):
    """How what a log is about stands."""

    ids: Collection[str]
    """Changes of these may end the log, or lengthen it."""
    final: S | None
    """Its last word, when nothing more is to be written."""


_ALL: Final = KeptQuery()


class KeptLogs(Generic[S]):
    """Follows logs, at most 64 at one time; `kinds` are the changes to wake up for."""

    def __init__(self, *, database: Database, feed: Feed, logs: LineStore, kinds: Collection[str], what: str) -> None:
        self._database = database
        self._feed = feed
        self._logs = logs
        self._kinds = kinds
        self._what = what
        self._streams = 0

    async def find(self, tx: Transaction, owner_id: str, query: KeptQuery) -> list[LogLine]:
        """The lines that are asked for, oldest first; at most the last 10,000 of them."""
        most = _BACKLOG_LINES if query.tail is None else min(query.tail, _BACKLOG_LINES)
        after = query.after or 0
        if not query.is_selective:
            after = max(after, await self._logs.last_seq(tx, owner_id) - most)
        found = deque[LogLine](maxlen=most)
        while lines := await self._logs.read(tx, owner_id, after=after, limit=_PAGE_LINES):
            found.extend(filter(query.takes, lines))
            after = lines[-1].seq
        return list(found)

    async def begin(self, tx: Transaction, owner_id: str, query: KeptQuery) -> int:
        """Behind which line a reader begins; raises TooManyStreams."""
        if self._streams >= _STREAMS:
            raise TooManyStreams(f"cannot follow the log: {_STREAMS} logs of {self._what} are being followed")
        if query.after is not None:
            return query.after
        last = await self._logs.last_seq(tx, owner_id)
        if not query.is_selective:
            return max(0, last - (_BACKLOG_LINES if query.tail is None else query.tail))
        if query.tail is None:
            return 0
        found = await self.find(tx, owner_id, query)
        return found[0].seq - 1 if found else last

    async def follow(
        self,
        owner_id: str,
        *,
        after: int,
        look: Callable[[Transaction], Awaitable[Standing[S] | None]],
        query: KeptQuery = _ALL,
    ) -> AsyncGenerator[list[LogLine] | S]:
        """Lines in batches, with waits for those to come, then the last word once; it ends at once when `look` finds
        that what the log is about is gone.
        """
        self._streams += 1
        watch = self._feed.watch(*self._kinds)
        try:
            while True:
                async with self._database.read() as tx:
                    standing = await look(tx)
                    lines = await self._logs.read(tx, owner_id, after=after, limit=_PAGE_LINES)
                if lines:
                    if taken := [line for line in lines if query.takes(line)]:
                        yield taken
                    after = lines[-1].seq
                elif standing is None:
                    return
                elif standing.final is not None:
                    yield standing.final
                    return
                else:
                    changes = await watch.next()
                    while EVERYTHING not in changes and not {each.id for each in changes} & set(standing.ids):
                        changes = await watch.next()
        finally:
            watch.close()
            self._streams -= 1

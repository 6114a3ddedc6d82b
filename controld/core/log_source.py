"""One node's part of a service's log: where it has been read to, and how it is asked for what follows."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final, TypeVar

import msgspec

from controld.core.faults import NodeFault
from controld.core.ports import Agents
from controld.model.node import Node
from controld.model.observed import LogNotice, NoticeKind
from controld.rules.log_cursor import node_key
from controld.rules.log_events import find_last_id
from kit.clock import Clock
from kit.faults import Fault
from wire.agent.logs import LogLine, LogPlace, LogQuery, LogRecord

T = TypeVar("T")

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_RETRY_LEAST_SECONDS: Final = 0.25
_RETRY_MOST_SECONDS: Final = 5.0
_FAILURES_TOLD: Final = 2
"""A node that misses so many asks in a row is told of; an agent that restarts is back before."""


class LogSource:
    """Reads one node; `read_to` is the agent's cursor behind the last line that was read, None before the first.

    Without one it begins where the query says; once the node has told that there is nothing to begin with, everything
    is new.
    """

    def __init__(self, node: Node, agents: Agents, *, query: LogQuery, read_to: str | None = None) -> None:
        self.node = node
        self.key = node_key(node.id)
        self.read_to = read_to
        self.said: str | None = None
        """What was last said of its failure; None while it answers."""
        self._agents = agents
        self._query = query

    @property
    def last_id(self) -> str:
        """The id of the event behind which the place is; empty before the first."""
        return f"{self.key}:{self.read_to}" if self.read_to else ""

    def move(self, last_id: str) -> None:
        """Stand behind the event with this id."""
        self.read_to = last_id.partition(":")[2] or None

    def fork(self) -> LogSource:
        """Another that stands at the same place."""
        return LogSource(self.node, self._agents, query=self._query, read_to=self.read_to)

    def begins_like(self, other: LogSource) -> bool:
        """Whether both begin at the same place before the first line was read."""
        return (self._query.since, self._query.tail) == (other._query.since, other._query.tail)

    @property
    def is_narrowed(self) -> bool:
        """Whether the node looks for lines instead of telling all."""
        return self._query.is_narrowed

    async def read(self, *, follow: bool) -> AsyncGenerator[LogRecord]:
        """The records behind the place; without `follow` up to now."""
        with self._reading(follow=follow) as query:
            async with aclosing(self._agents.read_logs(self.node, query)) as records:
                async for record in records:
                    if isinstance(record, LogLine | LogPlace):
                        self.read_to = record.id
                    yield record

    async def read_events(self, *, follow: bool) -> AsyncGenerator[bytes]:
        """The same as whole events of a stream, any number at once."""
        with self._reading(follow=follow) as query:
            asked = msgspec.structs.replace(query, frames=f"{self.key}:")
            async with aclosing(self._agents.read_log_events(self.node, asked)) as pieces:
                async for events in pieces:
                    self.move(find_last_id(events) or self.last_id)
                    yield events

    def follow(self, *, clock: Clock) -> AsyncGenerator[LogRecord | LogNotice]:
        """The records behind the place and those to come, for ever, with words on the node while it is away."""
        return self._persist(lambda: self.read(follow=True), clock=clock)

    def follow_events(self, *, clock: Clock) -> AsyncGenerator[bytes | LogNotice]:
        """The same as events."""
        return self._persist(lambda: self.read_events(follow=True), clock=clock)

    async def _persist(self, read: Callable[[], AsyncGenerator[T]], *, clock: Clock) -> AsyncGenerator[T | LogNotice]:
        failures = 0
        while True:
            try:
                async with aclosing(read()) as items:
                    async for item in items:
                        failures = 0
                        if self.said is not None:
                            self.said = None
                            text = f"node {self.node.name} answers again"
                            yield LogNotice(id="", kind=NoticeKind.REACHABLE, text=text)
                        yield item
                why = f"node {self.node.name} ended its stream"
            except Fault as fault:
                why = fault.message
            failures += 1
            if failures >= _FAILURES_TOLD and self.said is None:
                self.said = why
                yield word_silence("", why)
            await clock.sleep(min(_RETRY_MOST_SECONDS, _RETRY_LEAST_SECONDS * 2.0 ** min(failures - 1, 8)))

    @contextmanager
    def _reading(self, *, follow: bool) -> Iterator[LogQuery]:
        resumed = self.read_to is not None
        try:
            yield msgspec.structs.replace(
                self._query,
                tail=None if resumed else self._query.tail,
                since=None if resumed else self._query.since,
                after=self.read_to,
                follow=follow,
            )
        except NodeFault as fault:
            if fault.remote_code == "bad_cursor":
                # Not a place in this node's logs, whoever made it up: begin anew rather than never.
                self.read_to = None
            raise
        if not follow:
            # It has told what there was to begin with: when that was nothing, everything is new.
            self._query = msgspec.structs.replace(self._query, tail=None, since=self._query.since or _EPOCH)


def word_silence(cursor: str, why: str) -> LogNotice:
    """The word on a node that does not answer."""
    return LogNotice(id=cursor, kind=NoticeKind.UNREACHABLE, text=f"{why}; its lines are missing until it answers")

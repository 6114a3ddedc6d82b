"""Logs of services: their lines by moment, replica and text, and live streams that can be resumed from any line."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from controld.core.faults import NodeOffline, TooManyStreams
from controld.core.log_backlog import pick_tails, read_backlog, read_behind
from controld.core.log_relay import LogRelays
from controld.core.log_source import LogSource
from controld.core.log_stream import LogStream
from controld.core.places import Places
from controld.core.ports import Agents, Feed
from controld.core.services import Services
from controld.model.caller import Caller
from controld.model.node import Node
from controld.model.observed import LogBatch, LogNotice, LogText, NoticeKind, RecentLog
from controld.rules.log_cursor import node_key, parse_cursor, parse_since, render_cursor, render_since
from controld.rules.moments import render_moment
from kit.clock import Clock
from kit.faults import Invalid
from kit.tasks import Tasks
from kit.text_filter import make_text_filter
from wire.agent.logs import LogQuery

DEFAULT_TAIL: Final = 200
STREAMS: Final = 1024

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LATE_SECONDS: Final = 1.0
"""A line may reach the log of its node by so much later than it is stamped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogExport:
    """Lines in batches, read as they are taken, and the names of the nodes whose lines are not among them."""

    lines: AsyncGenerator[list[LogText]]
    unreachable: tuple[str, ...]


class Logs:
    """Asks the nodes of a service; at most 1024 streams are open at one time.

    A query says which lines are asked for; whose they are, and `follow` and `after` of it, are set here.
    """

    def __init__(
        self,
        *,
        services: Services,
        places: Places,
        agents: Agents,
        feed: Feed,
        clock: Clock,
        streams: int = STREAMS,
    ) -> None:
        self._services = services
        self._places = places
        self._agents = agents
        self._feed = feed
        self._clock = clock
        self._most_streams = streams
        self._streams = 0
        self._relays = LogRelays(clock=clock)

    @property
    def upstreams(self) -> int:
        """How many streams of nodes are open for viewers who get events as they come."""
        return self._relays.streams

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams

    async def admit(self, caller: Caller, service_id: str) -> None:
        """Return when the caller may read the log; raises ServiceNotFound and Forbidden."""
        await self._services.admit(caller, service_id, operation="service.logs")

    async def list_recent(self, caller: Caller, service_id: str, query: LogQuery) -> RecentLog:
        """The last lines, 200 where the query does not say; raises ServiceNotFound, Invalid, and NodeOffline when no
        node answers.
        """
        await self.admit(caller, service_id)
        _check(query)
        tail = DEFAULT_TAIL if query.tail is None else query.tail
        asked = msgspec.structs.replace(query, service_id=service_id, tail=tail + 1)
        cursors: dict[str, str] = {}
        nodes = await self._places.list_log_nodes(service_id)
        sources = [self._make_source(node, asked, cursors, resumed=False) for node in nodes]
        lines = await pick_tails(sources, cursors, tail=tail)
        silent = [source for source in sources if source.said is not None]
        if silent and len(silent) == len(sources):
            raise NodeOffline(f"cannot read the log: {silent[0].said}")
        return RecentLog(lines=tuple(lines), unreachable=tuple(source.node.name for source in silent))

    async def follow(
        self,
        caller: Caller,
        service_id: str,
        query: LogQuery,
        *,
        after: str | None = None,
        as_events: bool = False,
    ) -> AsyncGenerator[LogBatch]:
        """News in batches: the lines behind the id `after`, or those that the query asks for, and then those that
        come; for ever, or up to `until`, and then the notice that it has ended. With `as_events` lines may come as
        the events that their node made.

        Raises ServiceNotFound, Invalid for a query that cannot be answered or an `after` that is no id, and
        TooManyStreams; each ahead of the first news.
        """
        await self.admit(caller, service_id)
        _check(query)
        try:
            cursors = parse_cursor(after) if after else {}
        except ValueError as error:
            raise Invalid(f"cannot resume the log: this is not the id of one of its events: {error}") from error
        self._check_streams()
        relays = self._relays if as_events and not query.is_narrowed else None
        return self._follow(msgspec.structs.replace(query, service_id=service_id), cursors, relays)

    @asynccontextmanager
    async def export(
        self, caller: Caller, service_id: str, query: LogQuery, *, partial: bool
    ) -> AsyncIterator[LogExport]:
        """Every line that the query asks for, up to now where it does not say, oldest first.

        It raises ServiceNotFound, Invalid, TooManyStreams, and NodeOffline when a node does not answer; with `partial`
        only when none does. Reading the lines raises NodeOffline when a node breaks off.
        """
        await self.admit(caller, service_id)
        _check(query)
        self._check_streams()
        asked = msgspec.structs.replace(
            query, service_id=service_id, since=query.since or _EPOCH, until=query.until or self._clock.now()
        )
        with self._take_stream():
            sources = [
                LogSource(node, self._agents, query=asked) for node in await self._places.list_log_nodes(service_id)
            ]
            async with aclosing(read_behind(sources, {})) as batches:
                first: list[LogText] = await anext(batches, [])
                silent = [source for source in sources if source.said is not None]
                if silent and not (partial and len(silent) < len(sources)):
                    raise NodeOffline(f"cannot export the log: {silent[0].said}")
                answering = [source for source in sources if source not in silent]
                async with aclosing(_read_on(first, batches, answering)) as lines:
                    yield LogExport(lines=lines, unreachable=tuple(source.node.name for source in silent))

    @contextmanager
    def _take_stream(self) -> Iterator[None]:
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    def _check_streams(self) -> None:
        if self._streams >= self._most_streams:
            raise TooManyStreams(
                f"cannot read the log: {self._most_streams} service logs are being read", retry_after_seconds=10
            )

    async def _follow(
        self, query: LogQuery, cursors: dict[str, str], relays: LogRelays | None
    ) -> AsyncGenerator[LogBatch]:
        news = self._follow_live(query, cursors, relays) if query.until is None else self._follow_until(query, cursors)
        with self._take_stream():
            async with aclosing(news) as batches:
                async for batch in batches:
                    yield batch

    def _follow_live(
        self, query: LogQuery, cursors: Mapping[str, str], relays: LogRelays | None
    ) -> AsyncGenerator[LogBatch]:
        begun, tail, resumed = dict(cursors), _tail_of(query, cursors), bool(cursors)
        asked = msgspec.structs.replace(query, tail=None if tail is None else tail + 1)
        anew = msgspec.structs.replace(query, tail=None, since=_EPOCH)

        def make_source(node: Node) -> LogSource:
            return self._make_source(node, asked, begun, resumed=resumed)

        def make_new(node: Node) -> LogSource:
            return LogSource(node, self._agents, query=anew)

        return LogStream(
            query.service_id,
            places=self._places,
            feed=self._feed,
            clock=self._clock,
            make_source=make_source,
            make_new=make_new,
            cursors=begun,
            tail=tail,
            relays=relays,
        ).run()

    async def _follow_until(self, query: LogQuery, cursors: Mapping[str, str]) -> AsyncGenerator[LogBatch]:
        """What comes until the moment, then what the live stream has not told of what was written before it."""
        assert query.until is not None
        left = (query.until - self._clock.now()).total_seconds()
        if left > 0:
            live = self._follow_live(query, cursors, None)
            async with aclosing(_take_for(left + _LATE_SECONDS, live, clock=self._clock)) as batches:
                async for batch in batches:
                    if isinstance(batch, list) and batch:
                        cursors = parse_cursor(batch[-1].id) if batch[-1].id else cursors
                        yield batch
        begun, tail = dict(cursors), _tail_of(query, cursors)
        asked = msgspec.structs.replace(query, tail=None if tail is None else tail + 1)
        nodes = await self._places.list_log_nodes(query.service_id)
        sources = [self._make_source(node, asked, begun, resumed=bool(cursors)) for node in nodes]
        async with aclosing(read_backlog(sources, begun, tail=tail)) as backlog:
            async for batch in backlog:
                yield batch
        yield [LogNotice(id=render_cursor(begun), kind=NoticeKind.ENDED, text=render_moment(query.until))]

    def _make_source(self, node: Node, query: LogQuery, begun: dict[str, str], *, resumed: bool) -> LogSource:
        """The node's part of the log; `begun` is the reader's place, and gets the one that `since` means there."""
        if not resumed:
            if query.since is not None:
                # Whoever resumes from here needs not know since when was asked.
                begun[node_key(node.id)] = render_since(query.since)
            return LogSource(node, self._agents, query=query)
        place = begun.get(node_key(node.id))
        since = _EPOCH if place is None else parse_since(place)
        return LogSource(
            node,
            self._agents,
            query=msgspec.structs.replace(query, tail=None, since=since or _EPOCH),
            read_to=place if since is None else None,
        )


async def _take_for(seconds: float, batches: AsyncGenerator[LogBatch], *, clock: Clock) -> AsyncGenerator[LogBatch]:
    """The batches that come within so many seconds."""
    tasks = Tasks("log until")
    try:
        ended = tasks.start("over", clock.sleep(seconds))
        while not ended.done():
            following = tasks.start("news", _next(batches))
            await asyncio.wait([ended, following], return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                yield following.result()
    finally:
        # What is waited for is left before the batches are: they can be closed only when nobody takes from them.
        await tasks.close()
        await batches.aclose()


async def _next(batches: AsyncGenerator[LogBatch]) -> LogBatch:
    return await anext(batches)


async def _read_on(
    first: list[LogText], rest: AsyncGenerator[list[LogText]], sources: Sequence[LogSource]
) -> AsyncGenerator[list[LogText]]:
    """All batches; NodeOffline as soon as one of the sources breaks off."""
    batch: list[LogText] | None = first
    while True:
        if broken := next((source.said for source in sources if source.said is not None), None):
            raise NodeOffline(f"cannot go on with the log: {broken}")
        if batch is None:
            return
        yield batch
        batch = await anext(rest, None)


def _tail_of(query: LogQuery, cursors: Mapping[str, str]) -> int | None:
    """How many of the last lines a stream begins with; None for all behind its place."""
    if cursors or (query.tail is None and query.since is not None):
        return None
    return DEFAULT_TAIL if query.tail is None else query.tail


def _check(query: LogQuery) -> None:
    """Raise Invalid when no line could be found by the query."""
    if query.since is not None and query.until is not None and query.since >= query.until:
        raise Invalid("cannot read the log: `until` is not behind `since`")
    make_text_filter(contains=query.grep, expression=query.grep_regex, ignore_case=query.ignore_case)

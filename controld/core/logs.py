"""Logs of services: their newest lines, and live streams that can be resumed from any line."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from controld.core.faults import NodeOffline, TooManyStreams
from controld.core.log_backlog import pick_tails
from controld.core.log_source import LogSource
from controld.core.log_stream import LogStream
from controld.core.places import Places
from controld.core.ports import Agents, Feed
from controld.core.services import Services
from controld.model.caller import Caller
from controld.model.node import Node
from controld.model.observed import LogNews, RecentLog
from controld.rules.log_cursor import node_key, parse_cursor
from kit.clock import Clock
from kit.faults import Invalid

DEFAULT_TAIL: Final = 200
STREAMS: Final = 64

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Logs:
    """Asks the nodes of a service; at most 64 streams are open at one time."""

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

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._streams

    async def admit(self, caller: Caller, service_id: str) -> None:
        """Return when the caller may read the log; raises ServiceNotFound and Forbidden."""
        await self._services.admit(caller, service_id, operation="service.logs")

    async def list_recent(self, caller: Caller, service_id: str, *, tail: int = DEFAULT_TAIL) -> RecentLog:
        """The last lines; raises ServiceNotFound, and NodeOffline when no node answers."""
        await self.admit(caller, service_id)
        sources = [
            LogSource(node, self._agents, service_id=service_id, tail=tail)
            for node in await self._places.list_nodes(service_id)
        ]
        lines = await pick_tails(sources, {}, tail=tail)
        silent = [source for source in sources if source.said is not None]
        if silent and len(silent) == len(sources):
            raise NodeOffline(f"cannot read the log: {silent[0].said}")
        return RecentLog(
            lines=tuple(line.text for _, line in lines), unreachable=tuple(source.node.name for source in silent)
        )

    async def follow(
        self,
        caller: Caller,
        service_id: str,
        *,
        tail: int | None = None,
        since: dt.datetime | None = None,
        after: str | None = None,
    ) -> AsyncGenerator[list[LogNews]]:
        """News in batches, for ever: the lines behind the id `after`, or since a moment, or the last `tail`, and then
        those that come.

        Raises ServiceNotFound, Invalid for an `after` that is no id, and TooManyStreams; each ahead of the first news.
        """
        await self.admit(caller, service_id)
        try:
            cursors = parse_cursor(after) if after else {}
        except ValueError as error:
            raise Invalid(f"cannot resume the log: this is not the id of one of its events: {error}") from error
        if self._streams >= self._most_streams:
            raise TooManyStreams(
                f"cannot follow the log: {self._most_streams} service logs are being followed", retry_after_seconds=10
            )
        return self._follow(service_id, tail=tail, since=since, cursors=cursors)

    async def _follow(
        self, service_id: str, *, tail: int | None, since: dt.datetime | None, cursors: dict[str, str]
    ) -> AsyncGenerator[list[LogNews]]:
        lines = None
        if not cursors and (tail is not None or since is None):
            lines = DEFAULT_TAIL if tail is None else tail

        def make_source(node: Node) -> LogSource:
            return LogSource(
                node,
                self._agents,
                service_id=service_id,
                read_to=cursors.get(node_key(node.id)),
                since=since if lines is not None else since or _EPOCH,
                tail=None if lines is None else lines + 1,
            )

        def make_new(node: Node) -> LogSource:
            return LogSource(node, self._agents, service_id=service_id, since=_EPOCH)

        stream = LogStream(
            service_id,
            places=self._places,
            feed=self._feed,
            clock=self._clock,
            make_source=make_source,
            make_new=make_new,
            cursors=cursors,
            tail=lines,
        )
        self._streams += 1
        try:
            async with aclosing(stream.run()) as batches:
                async for news in batches:
                    yield news
        finally:
            self._streams -= 1

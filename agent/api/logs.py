"""Logs as controld asks for them."""

from __future__ import annotations

from contextlib import aclosing

from agent.core.faults import BadCursor, EngineUnavailable
from agent.core.logs import Logs
from kit.clock import Clock
from kit.faults import Invalid
from kit.http.ndjson import CONTENT_TYPE, MessageStream
from kit.http.surface import Ask, Route
from wire.agent.logs import EVENTS, LogQuery


class LogRows:
    """The row for logs."""

    def __init__(self, logs: Logs, *, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="GET",
                path="/logs",
                access="controld",
                handler=self._read,
                summary="Logs of a service's replicas on this node",
                query=LogQuery,
                stream=CONTENT_TYPE,
                faults=(BadCursor, Invalid, EngineUnavailable),
            ),
        )

    async def _read(self, ask: Ask) -> object:
        query: LogQuery = ask.query
        self._logs.check(query)
        prefix = query.frames
        content_type = CONTENT_TYPE if prefix is None else EVENTS
        stream = MessageStream(ask, clock=self._clock, content_type=content_type)
        async with stream, aclosing(self._logs.read(query)) as batches:
            async for batch in batches:
                await stream.send(batch.encode() if prefix is None else batch.frame(prefix))
            return stream.response

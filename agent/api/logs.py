"""Logs as controld asks for them."""

from __future__ import annotations

from contextlib import aclosing

from agent.core.faults import BadCursor, EngineUnavailable
from agent.core.logs import Logs
from kit.clock import Clock
from kit.http.ndjson import CONTENT_TYPE, MessageStream
from kit.http.surface import Ask, Route
from wire.agent.logs import LogQuery


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
                faults=(BadCursor, EngineUnavailable),
            ),
        )

    async def _read(self, ask: Ask) -> object:
        query: LogQuery = ask.query
        self._logs.check(query)
        async with MessageStream(ask, clock=self._clock) as stream, aclosing(self._logs.read(query)) as batches:
            async for batch in batches:
                await stream.send(batch.encode())
            return stream.response

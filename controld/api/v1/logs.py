"""Logs of services."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from controld.api.v1.shapes_observe import LogStreamQuery
from controld.core.faults import NodeOffline, ServiceNotFound, TooManyStreams
from controld.core.logs import Logs
from controld.model.caller import Caller
from controld.model.observed import LogNews, LogText, NoticeKind
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.sse import EventStream, frame
from kit.http.surface import Answer, Ask, Route

UNREACHABLE_HEADER: Final = "X-Unreachable-Nodes"
"""Names the nodes whose lines are missing from an answer."""

_PATH: Final = "/v1/services/{service_id}/logs"
_EVENTS: Final = {NoticeKind.DROPPED: "dropped", NoticeKind.UNREACHABLE: "notice", NoticeKind.REACHABLE: "notice"}


def routes(logs: Logs, *, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_lines(ask: Ask) -> Answer:
        recent = await logs.list_recent(ask.caller, ask.path["service_id"])
        headers = {UNREACHABLE_HEADER: ", ".join(recent.unreachable)} if recent.unreachable else {}
        return Answer(200, list(recent.lines), headers=headers)

    async def follow(ask: Ask) -> object:
        query: LogStreamQuery = ask.query

        async def admit(caller: Caller) -> None:
            await logs.admit(caller, ask.path["service_id"])

        batches = await logs.follow(
            ask.caller,
            ask.path["service_id"],
            tail=query.tail,
            since=query.since,
            after=ask.request.headers.get("Last-Event-ID", "").strip() or None,
        )
        async with aclosing(batches), EventStream(ask, clock=clock, admit=admit) as stream:
            async for batch in batches:
                if batch:
                    await stream.send(b"".join(map(_frame, batch)))
            return stream.response

    return (
        Route(
            method="GET",
            path=_PATH,
            access="operator",
            handler=list_lines,
            summary="The last 200 lines of all replicas, oldest first",
            answer=list[str],
            faults=(Forbidden, ServiceNotFound, NodeOffline),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/stream",
            access="operator",
            handler=follow,
            summary="Lines of all replicas as they are written; `dropped` and `notice` events say what is missing",
            query=LogStreamQuery,
            stream="text/event-stream",
            faults=(Invalid, Forbidden, ServiceNotFound, TooManyStreams),
        ),
    )


def _frame(news: LogNews) -> bytes:
    if isinstance(news, LogText):
        return frame(news.text, id=news.id)
    return frame(news.text, id=news.id or None, event=_EVENTS[news.kind])

"""Logs of services."""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

import msgspec

from controld.api.v1.shapes_log import LineFormat, LogLineShape, LogListQuery, render_line, render_text
from controld.core.faults import NodeOffline, ServiceNotFound, TooManyStreams
from controld.core.logs import Logs
from controld.model.caller import Caller
from controld.model.observed import LogEvents, LogNews, LogText, NoticeKind
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.sse import EventStream, frame
from kit.http.surface import Answer, Ask, Route

UNREACHABLE_HEADER: Final = "X-Unreachable-Nodes"
"""Names the nodes whose lines are missing from an answer."""

_PATH: Final = "/v1/services/{service_id}/logs"
_EVENTS: Final = {
    NoticeKind.DROPPED: "dropped",
    NoticeKind.UNREACHABLE: "notice",
    NoticeKind.REACHABLE: "notice",
    NoticeKind.ENDED: "end",
}


def routes(logs: Logs, *, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""

    async def list_lines(ask: Ask) -> Answer:
        query: LogListQuery = ask.query
        asked = query.resolve(clock.now(), tail=query.tail)
        recent = await logs.list_recent(ask.caller, ask.path["service_id"], asked)
        headers = {UNREACHABLE_HEADER: ", ".join(recent.unreachable)} if recent.unreachable else {}
        return Answer(200, [_render(line, query) for line in recent.lines], headers=headers)

    async def follow(ask: Ask) -> object:
        query: LogListQuery = ask.query

        async def admit(caller: Caller) -> None:
            await logs.admit(caller, ask.path["service_id"])

        batches = await logs.follow(
            ask.caller,
            ask.path["service_id"],
            query.resolve(clock.now(), tail=query.tail),
            after=ask.request.headers.get("Last-Event-ID", "").strip() or None,
            as_events=query.is_plain,
        )
        async with aclosing(batches), EventStream(ask, clock=clock, admit=admit) as stream:
            async for batch in batches:
                if isinstance(batch, LogEvents):
                    await stream.send(batch.data)
                elif batch:
                    await stream.send(b"".join(_frame(news, query) for news in batch))
            return stream.response

    return (
        Route(
            method="GET",
            path=_PATH,
            access="operator",
            handler=list_lines,
            summary="The last lines of all replicas, 200 unless `tail` says, oldest first",
            query=LogListQuery,
            answer=list[str | LogLineShape],
            headers={UNREACHABLE_HEADER: "The nodes whose lines are missing; absent when there are none."},
            faults=(Invalid, Forbidden, ServiceNotFound, NodeOffline),
        ),
        Route(
            method="GET",
            path=f"{_PATH}/stream",
            access="operator",
            handler=follow,
            summary="Lines of all replicas as they are written; `dropped` and `notice` events say what is missing, and "
            "`end` that `until` has come",
            query=LogListQuery,
            stream="text/event-stream",
            faults=(Invalid, Forbidden, ServiceNotFound, TooManyStreams),
        ),
    )


def _render(line: LogText, query: LogListQuery) -> str | LogLineShape:
    if query.format is LineFormat.JSON:
        return render_line(line)
    return render_text(line, timestamps=query.timestamps)


def _frame(news: LogNews, query: LogListQuery) -> bytes:
    if isinstance(news, LogText):
        shown = _render(news, query)
        return frame(shown if isinstance(shown, str) else msgspec.json.encode(shown), id=news.id)
    return frame(news.text, id=news.id or None, event=_EVENTS[news.kind])

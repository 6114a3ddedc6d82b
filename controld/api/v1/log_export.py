"""A range of a service's log as a file."""

from __future__ import annotations

from typing import Final

import msgspec

from controld.api.v1.logs import UNREACHABLE_HEADER
from controld.api.v1.shapes_log import ExportFormat, LogExportQuery, render_record, render_text
from controld.core.faults import NodeOffline, ServiceNotFound, TooManyStreams
from controld.core.logs import Logs
from controld.model.caller import Caller
from controld.model.observed import LogText
from kit.clock import Clock
from kit.faults import Forbidden, Invalid
from kit.http.download import Download
from kit.http.surface import Ask, Route

_NDJSON: Final = "application/x-ndjson"
_TEXT: Final = "text/plain"
_TYPES: Final = {
    ExportFormat.TEXT: (f"{_TEXT}; charset=utf-8", "log"),
    ExportFormat.NDJSON: (_NDJSON, "ndjson"),
}

_encoder: Final = msgspec.json.Encoder()


def routes(logs: Logs, *, clock: Clock) -> tuple[Route, ...]:
    """The rows of this file."""

    async def export(ask: Ask) -> object:
        query: LogExportQuery = ask.query
        service_id = ask.path["service_id"]
        content_type, suffix = _TYPES[query.format]

        async def admit(caller: Caller) -> None:
            await logs.admit(caller, service_id)

        asked = query.resolve(clock.now())
        async with logs.export(ask.caller, service_id, asked, partial=query.partial) as exported:
            download = Download(
                ask,
                content_type=content_type,
                file_name=f"{service_id}.{suffix}",
                clock=clock,
                admit=admit,
                headers={UNREACHABLE_HEADER: ", ".join(exported.unreachable)} if exported.unreachable else None,
            )
            async with download:
                async for batch in exported.lines:
                    await download.send(_render(batch, query))
            return download.response

    return (
        Route(
            method="GET",
            path="/v1/services/{service_id}/logs/export",
            access="operator",
            handler=export,
            summary="A range of the log as a file, oldest line first; where it cannot be whole, the connection breaks",
            query=LogExportQuery,
            stream=f"{_TEXT}, {_NDJSON}",
            headers={UNREACHABLE_HEADER: "With `partial`, the nodes whose lines are missing; absent when none are."},
            faults=(Invalid, Forbidden, ServiceNotFound, NodeOffline, TooManyStreams),
        ),
    )


def _render(batch: list[LogText], query: LogExportQuery) -> bytes:
    if query.format is ExportFormat.NDJSON:
        return _encoder.encode_lines(map(render_record, batch))
    return "".join(f"{render_text(line, timestamps=query.timestamps)}\n" for line in batch).encode()

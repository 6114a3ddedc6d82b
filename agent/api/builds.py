"""Builds and pulls as controld asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from agent.core.faults import ContextMissing
from agent.core.works import Works
from kit.clock import Clock
from kit.faults import Conflict
from kit.http.ndjson import CONTENT_TYPE, MessageStream
from kit.http.surface import Ask, Route
from wire.agent.builds import BuildAsked, PullAsked, WorkEvent

_encoder = msgspec.json.Encoder()


class Builds:
    """The rows for builds and pulls."""

    def __init__(self, works: Works, *, clock: Clock) -> None:
        self._works = works
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="PUT",
                path="/builds/{id}/context",
                access="controld",
                handler=self._stage,
                summary="Stage the context of a build",
                raw_body="application/zstd",
                status=204,
                faults=(Conflict,),
            ),
            Route(
                method="POST",
                path="/builds/{id}",
                access="controld",
                handler=self._build,
                summary="Start or join a build",
                body=BuildAsked,
                stream=CONTENT_TYPE,
                faults=(ContextMissing,),
            ),
            Route(
                method="DELETE",
                path="/builds/{id}",
                access="controld",
                handler=self._cancel,
                summary="Cancel a build and drop its context",
                status=204,
            ),
            Route(
                method="POST",
                path="/pulls/{id}",
                access="controld",
                handler=self._pull,
                summary="Start or join a pull",
                body=PullAsked,
                stream=CONTENT_TYPE,
            ),
            Route(
                method="DELETE",
                path="/pulls/{id}",
                access="controld",
                handler=self._cancel,
                summary="Cancel a pull",
                status=204,
            ),
        )

    async def _stage(self, ask: Ask) -> None:
        await self._works.stage(ask.path["id"], ask.request.content.iter_any())

    async def _build(self, ask: Ask) -> object:
        return await self._tell(ask, await self._works.build(ask.path["id"], ask.body))

    async def _pull(self, ask: Ask) -> object:
        return await self._tell(ask, self._works.pull(ask.path["id"], ask.body))

    async def _cancel(self, ask: Ask) -> None:
        await self._works.cancel(ask.path["id"])

    async def _tell(self, ask: Ask, events: AsyncIterator[WorkEvent]) -> object:
        async with MessageStream(ask, clock=self._clock) as stream:
            async for event in events:
                await stream.send(_encoder.encode(event) + b"\n")
            return stream.response

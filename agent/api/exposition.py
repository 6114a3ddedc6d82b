"""The page that Prometheus scrapes, for programs on this machine."""

from __future__ import annotations

from agent.core.exposition import Exposition
from kit.exposition import CONTENT_TYPE, render_exposition
from kit.http.surface import PUBLIC, Answer, Ask, Route


class ExpositionRows:
    """The one row."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="GET",
                path="/metrics",
                access=PUBLIC,
                handler=self._read,
                summary="Numbers of replicas, the node and the agent, for Prometheus",
                content="text/plain",
            ),
        )

    async def _read(self, _: Ask) -> Answer:
        body = render_exposition(await self._exposition.gather())
        return Answer(200, body=body, headers={"Content-Type": CONTENT_TYPE})

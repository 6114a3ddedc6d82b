"""How long services were asked for nothing, as controld asks for it."""

from __future__ import annotations

from agent.core.activity import Activities
from agent.core.faults import IngressUnavailable
from kit.http.surface import Ask, Route
from wire.agent.activity import Activity


class ActivityRows:
    """The one row."""

    def __init__(self, activities: Activities) -> None:
        self._activities = activities

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return (
            Route(
                method="GET",
                path="/activity",
                access="controld",
                handler=self._read,
                summary="How long the services that the ingress leads to were asked for nothing",
                answer=Activity,
                faults=(IngressUnavailable,),
            ),
        )

    async def _read(self, _: Ask) -> Activity:
        return await self._activities.read()

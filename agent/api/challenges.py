"""Answers at well-known paths, which ingress forwards to the loopback listener."""

from __future__ import annotations

from collections.abc import Callable

from kit.faults import NotFound
from kit.http.surface import PUBLIC, Answer, Ask, Route
from wire.spec import Challenge


class Challenges:
    """Answers what the node's spec says, bound to the host where the spec names one."""

    def __init__(self, wanted: Callable[[], tuple[Challenge, ...]]) -> None:
        self._wanted = wanted

    def routes(self) -> tuple[Route, ...]:
        """The rows of the table."""
        return tuple(
            Route(
                method="GET",
                path=f"/.well-known/{kind}/{{token}}",
                access=PUBLIC,
                handler=self._answer,
                summary=f"Answer a {kind}",
                free_path=True,
            )
            for kind in ("acme-challenge", "denia-challenge")
        )

    async def _answer(self, ask: Ask) -> Answer:
        host = ask.request.host.partition(":")[0].lower()
        for challenge in self._wanted():
            if challenge.path == ask.request.path and challenge.host in {None, host}:
                return Answer(200, challenge.body.encode(), {"Content-Type": "text/plain"})
        raise NotFound("cannot answer this challenge: no such token for this host")

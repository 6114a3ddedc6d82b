"""Counts what a server answered: by route and status, how long it took, and which streams are open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kit.exposition import Family, Histogram, counter, gauge, histogram
from kit.http.surface import Route

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of how long answers take."""


class RouteTally:
    """What one route answered; HEAD counts as its GET. A stream's time is its reader's affair and is not counted."""

    __slots__ = ("labels", "open_streams", "seconds", "statuses")

    def __init__(self, *, surface: str, method: str, route: str, is_stream: bool = False) -> None:
        self.labels = {"surface": surface, "method": method, "route": route}
        self.statuses: dict[int, int] = {}
        self.seconds = None if is_stream else Histogram(SECONDS)
        self.open_streams = 0

    def add(self, status: int, seconds: float) -> None:
        """One answer went out, so long after its request had come in."""
        statuses = self.statuses
        statuses[status] = statuses.get(status, 0) + 1
        if self.seconds is not None:
            self.seconds.add(seconds)


class Tally:
    """The counts of all routes of one or more servers, made as they are first asked."""

    def __init__(self) -> None:
        self._by_route: dict[int, RouteTally] = {}
        self._routes: list[Route] = []
        self.unmatched = RouteTally(surface="", method="", route="")
        """Requests that no route answers; their paths and methods are anybody's, so they are not told apart."""

    def of(self, route: Route, *, surface: str) -> RouteTally:
        """The counts of a route of the surface."""
        found = self._by_route.get(id(route))
        if found is None:
            self._routes.append(route)  # so that no other ever has its id
            found = self._by_route[id(route)] = RouteTally(
                surface=surface, method=route.method, route=route.path, is_stream=route.stream is not None
            )
        return found

    def tell(self, prefix: str) -> Iterator[Family]:
        """Everything, under names with this prefix."""
        routes = [*self._by_route.values(), self.unmatched]
        yield counter(
            f"{prefix}_http_requests_total",
            "Requests by route and status; 499: the client was gone before its answer.",
            *(
                ({**each.labels, "status": str(status)}, float(count))
                for each in routes
                for status, count in sorted(each.statuses.items())
            ),
        )
        yield histogram(
            f"{prefix}_http_request_duration_seconds",
            "Time from the head of a request to its answer, without streams.",
            *((each.labels, each.seconds) for each in routes if each.seconds),
        )
        yield gauge(
            f"{prefix}_http_streams",
            "Streams and WebSockets that are open.",
            *((each.labels, float(each.open_streams)) for each in routes if each.seconds is None),
        )

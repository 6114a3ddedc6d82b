"""Keeps the last requests of every service, for operators to look at."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from agent.model.requests import AccessEntry


class RecentRequests:
    """The last `limit` requests of each route, in memory."""

    def __init__(self, limit: int = 200) -> None:
        self._limit = limit
        self._rings: dict[str, deque[AccessEntry]] = {}

    def add(self, entry: AccessEntry) -> None:
        """Keep an entry; the oldest of its route makes room."""
        ring = self._rings.get(entry.route)
        if ring is None:
            ring = self._rings[entry.route] = deque(maxlen=self._limit)
        ring.append(entry)

    def list(self, route: str) -> tuple[AccessEntry, ...]:
        """The entries of a route, newest first."""
        return tuple(reversed(self._rings.get(route, ())))

    def keep(self, routes: Collection[str]) -> None:
        """Forget every route but these, so that removed services hold no memory."""
        for route in self._rings.keys() - set(routes):
            del self._rings[route]

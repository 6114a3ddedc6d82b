"""Answers hot reads from memory, which the change feed keeps true."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from controld.core.ports import Feed
from controld.model.change import EVERYTHING, Change

V = TypeVar("V")


class Memory(Generic[V]):
    """Remembers up to `limit` things of one kind by id; a change of one forgets it, EVERYTHING forgets all.

    What was loaded while something changed is given out and not kept, and nothing is kept or trusted while the feed is
    not live.
    """

    def __init__(
        self, kind: str, load: Callable[[str], Awaitable[V | None]], *, feed: Feed, limit: int = 10_000
    ) -> None:
        self._load = load
        self._feed = feed
        self._limit = limit
        self._known: dict[str, V] = {}
        self._changes = 0
        feed.subscribe(self._forget, kinds=(kind,))

    def __len__(self) -> int:
        return len(self._known)

    async def get(self, key: str) -> V | None:
        """The thing with this id, or None; what does not exist is not remembered."""
        if self._feed.is_live and (known := self._known.get(key)) is not None:
            return known
        before = self._changes
        loaded = await self._load(key)
        if loaded is not None and before == self._changes and self._feed.is_live:
            if len(self._known) >= self._limit:
                del self._known[next(iter(self._known))]
            self._known[key] = loaded
        return loaded

    def _forget(self, change: Change) -> None:
        self._changes += 1
        if change is EVERYTHING:
            self._known.clear()
        else:
            self._known.pop(change.id, None)

"""A part of a long list, newest first: how much of it is asked for, and what came of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Up to `limit` items behind the one with the id `before`, or from the newest on; a store reads one more."""

    limit: int
    before: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Paged(Generic[T]):
    """The items of a page; `next_before` leads to the next one, and is absent on the last."""

    items: tuple[T, ...]
    next_before: str | None

    @classmethod
    def cut(cls, found: Sequence[T], page: Page, *, id_of: Callable[[T], str]) -> Paged[T]:
        """The page, of what a store found for it."""
        items = tuple(found[: page.limit])
        return cls(items, id_of(items[-1]) if len(found) > page.limit else None)

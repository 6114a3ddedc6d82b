"""Rows, their measurements and verdicts: two sides measured in turn, and the median of what their pairs say."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

T = TypeVar("T")

FULL_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long a row may take: the goal's recipe, or the shortest run that still goes through all its steps."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """Rounds of both sides, after one to warm up."""
        return 1 if self.quick else FULL_ROUNDS

    def pick(self, full: T, quick: T) -> T:
        """The value for this effort."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One goal and what was measured for it.

    With a peer, rounds are pairs, and what counts is the median of ours over the peer's; without one, the median of
    ours in its unit. `limit` is the most that meets the goal, or the least when `at_least`. None: told, not judged.
    """

    goal: str
    limit: float | None
    ours: tuple[float, ...]
    unit: str
    peer: tuple[float, ...] = ()
    peer_name: str = ""
    at_least: bool = False
    note: str = ""

    @property
    def values(self) -> tuple[float, ...]:
        """What each round says: a ratio, or a value in the unit."""
        if not self.peer:
            return self.ours
        return tuple(ours / peer for ours, peer in zip(self.ours, self.peer, strict=True))

    @property
    def measured(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> Literal["met", "missed", "told"]:
        """Whether the goal is met."""
        if self.limit is None:
            return "told"
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "met" if met else "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the goals: its number, what it promises, how it is measured."""

    id: str
    title: str
    recipe: str
    measure: Callable[[Effort], Sequence[Finding]]


def interleave(sides: Mapping[str, Callable[[], T]], *, rounds: int, warm_up: bool = True) -> dict[str, list[T]]:
    """What each side returned in each round; every other round goes through the sides backwards.

    A first round warms up and is thrown away.
    """
    found: dict[str, list[T]] = {name: [] for name in sides}
    order = list(sides)
    if warm_up:
        for name in order:
            sides[name]()
    for _ in range(rounds):
        for name in order:
            found[name].append(sides[name]())
        order.reverse()
    return found

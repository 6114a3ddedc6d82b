"""A bounded past of numbers: so many points of one width, and the same in two widths at once."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from agent.model.usage import Values

FINE_SECONDS: Final = 10
COARSE_SECONDS: Final = 60
_FINE_POINTS: Final = 360
_COARSE_POINTS: Final = 7 * 24 * 60
_UNKNOWN: Final = 0xFFFF
_SCALE: Final = 1000.0
_SLACK: Final = 32
"""So many points more than asked for are dropped at one time."""


class Ring:
    """The newest `points` points, each `step_seconds` wide; of a value in `rates` it keeps the mean, else the greatest.

    A number takes two bytes, which hold its logarithm: it comes back within 0.04 %, zero and unknown as such.
    A point in the past, by a clock that was set back, takes the place of what is known of it and of all behind it.
    """

    def __init__(self, rates: Sequence[bool], *, step_seconds: int, points: int) -> None:
        self.step_seconds = step_seconds
        self._rates = tuple(rates)
        self._width = len(self._rates)
        self._points = points
        self._kept = array("H")
        self._slot: int | None = None
        self._open: list[float | None] = []
        self._counts: list[int] = []

    def __len__(self) -> int:
        return len(self._kept) // self._width + (self._slot is not None)

    @property
    def size_bytes(self) -> int:
        """What the points take in memory."""
        return self._kept.buffer_info()[1] * self._kept.itemsize

    @property
    def newest_at(self) -> int | None:
        """When the newest point begins, in seconds since 1970; None without any."""
        return None if self._slot is None else self._slot * self.step_seconds

    def add(self, at: float, values: Values) -> None:
        """Take the values of a moment, in seconds since 1970, into the point that it falls in."""
        slot = int(at // self.step_seconds)
        if slot != self._slot:
            self._turn_to(slot)
        for index, value in enumerate(values):
            if value is None:
                continue
            count = self._counts[index]
            known = self._open[index]
            if known is None:
                self._open[index] = value
            elif self._rates[index]:
                self._open[index] = known + (value - known) / (count + 1)
            else:
                self._open[index] = max(known, value)
            self._counts[index] = count + 1

    def list(self, since: float) -> Iterator[tuple[int, Values]]:
        """The points that begin at `since` or later, with the second that each begins at, oldest first."""
        if self._slot is None:
            return
        kept, width = self._kept, self._width
        first = self._slot - len(kept) // width
        start = max(first, math.ceil(since / self.step_seconds), self._slot - self._points + 1)
        for slot in range(start, self._slot):
            offset = (slot - first) * width
            yield slot * self.step_seconds, tuple(map(_decode, kept[offset : offset + width]))
        if start <= self._slot:
            yield self._slot * self.step_seconds, tuple(self._open)

    def _turn_to(self, slot: int) -> None:
        kept, width, before = self._kept, self._width, self._slot
        if before is not None and slot > before:
            if slot - before > self._points:
                del kept[:]
            else:
                kept.extend(map(_encode, self._open))
                kept.extend([_UNKNOWN] * (width * (slot - before - 1)))
        elif before is not None:
            behind = min(before - slot, len(kept) // width)
            del kept[len(kept) - behind * width :]
        if len(kept) > (self._points + _SLACK) * width:
            del kept[: len(kept) - self._points * width]
        self._slot = slot
        self._open = [None] * width
        self._counts = [0] * width


class History:
    """An hour in points of 10 s and a week in points of a minute."""

    def __init__(self, rates: Sequence[bool]) -> None:
        self._rates = tuple(rates)
        self._fine = Ring(rates, step_seconds=FINE_SECONDS, points=_FINE_POINTS)
        self._coarse = Ring(rates, step_seconds=COARSE_SECONDS, points=_COARSE_POINTS)

    @property
    def size_bytes(self) -> int:
        """What the points take in memory."""
        return self._fine.size_bytes + self._coarse.size_bytes

    @property
    def newest_at(self) -> int | None:
        """When the newest point begins, in seconds since 1970; None without any."""
        return self._fine.newest_at

    def add(self, at: float, values: Values) -> None:
        """Take the values of a moment, in seconds since 1970."""
        self._fine.add(at, values)
        self._coarse.add(at, values)

    def list(self, *, since: float, step_seconds: int) -> list[tuple[int, Values]]:
        """Points of that width, a multiple of what is kept, from `since` on, oldest first."""
        ring = self._fine if step_seconds % COARSE_SECONDS else self._coarse
        if ring.step_seconds == step_seconds:
            return list(ring.list(since))
        merged = Ring(self._rates, step_seconds=step_seconds, points=_COARSE_POINTS)
        for at, values in ring.list(since // step_seconds * step_seconds):
            merged.add(at, values)
        return list(merged.list(since // step_seconds * step_seconds))


def choose_step(*, since: float, now: float, step_seconds: int) -> int:
    """The width that points can have: at least what was asked for, and a minute for what is older than an hour."""
    least = COARSE_SECONDS if now - since > FINE_SECONDS * _FINE_POINTS else FINE_SECONDS
    if step_seconds > COARSE_SECONDS:
        least = COARSE_SECONDS
    return max(least, -(-step_seconds // least) * least)


def _encode(value: float | None) -> int:
    return _UNKNOWN if value is None else round(math.log2(1 + max(0.0, value)) * _SCALE)


def _decode(code: int) -> float | None:
    return None if code == _UNKNOWN else float(2 ** (code / _SCALE) - 1)

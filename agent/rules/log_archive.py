"""Decisions on archived logs: which have to go, and which of them a reader has not read yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Final

from agent.model.log_archive import ArchivedLog
from agent.model.logs import Position

_BEHIND_ALL: Final = 999_999_999
"""More lines than one stamp has."""


def choose_surplus(
    logs: Sequence[ArchivedLog], *, before_usec: int, subject_bytes: int, total_bytes: int
) -> list[ArchivedLog]:
    """Those that were kept before the moment, and those for which later ones leave no room; the earliest first."""
    surplus: list[ArchivedLog] = []
    total = 0
    totals: Counter[str] = Counter()
    for log in sorted(logs, key=lambda each: each.kept_usec, reverse=True):
        fits = total + log.size_bytes <= total_bytes and totals[log.subject] + log.size_bytes <= subject_bytes
        if log.kept_usec < before_usec or not fits:
            surplus.append(log)
        else:
            total += log.size_bytes
            totals[log.subject] += log.size_bytes
    return surplus[::-1]


def pick_unread(logs: Iterable[ArchivedLog], positions: Mapping[str, Position]) -> list[ArchivedLog]:
    """Those of which a reader who stands at the positions may lack lines.

    What was archived before the newest line that the reader has is read, unless the positions name it.
    """
    newest = find_newest(positions)
    return [log for log in logs if log.container in positions or log.kept_usec >= newest]


def name_read(logs: Iterable[ArchivedLog], positions: MutableMapping[str, Position], *, newest_usec: int = 0) -> None:
    """Let the positions say that all of these is read, where the stamp of the newest line would not say it."""
    newest_usec = max(newest_usec, find_newest(positions))
    for log in sorted(logs, key=lambda each: each.last_usec, reverse=True):
        if log.kept_usec >= newest_usec and log.container not in positions:
            positions[log.container] = find_end(log)
            newest_usec = max(newest_usec, log.last_usec)


def find_end(log: ArchivedLog) -> Position:
    """Where a reader stands who has read all of it."""
    return Position(usec=log.last_usec, nth=_BEHIND_ALL)


def find_read(logs: Iterable[ArchivedLog], positions: Mapping[str, Position]) -> list[str]:
    """The containers that the positions name though a reader is known to have read them by the newest line alone."""
    newest = find_newest(positions)
    return [log.container for log in logs if log.container in positions and log.kept_usec < newest]


def find_newest(positions: Mapping[str, Position]) -> int:
    """The stamp of the newest line that a reader has, in microseconds since 1970; 0 for none."""
    return max((position.usec for position in positions.values() if position.nth >= 0), default=0)

"""Which version of the engine's API is spoken."""

from __future__ import annotations

OLDEST = (1, 41)
"""Engine 20.10."""
NEWEST = (1, 52)
"""Engine 29; a newer engine is spoken to in this version for as long as it speaks it."""


def choose_api_version(highest: str, lowest: str) -> str | None:
    """The version for an engine that speaks from `lowest` to `highest`; None for one that is too old.

    An engine that has given up our newest is spoken to in its own lowest.
    """
    newest, least = _parse(highest), _parse(lowest)
    if newest < OLDEST:
        return None
    chosen = max(min(newest, NEWEST), least)
    return f"{chosen[0]}.{chosen[1]}"


def _parse(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)

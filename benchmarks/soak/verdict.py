"""Whether what the daemons hold is flat: their rests compared with earlier rests of the same process."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import Final

from benchmarks.soak.readings import NONE_AT_REST, Reading, Rest

SPARE_FILES: Final = 3
SPARE_THREADS: Final = (os.cpu_count() or 1) + 4
"""The event loop's own pool has so many at the most, and starts each when all others are busy."""
FEWEST_RESTS: Final = 8
"""Fewer readings do not tell growth of memory from what a process takes while it warms up."""
MOST_GROWTH: Final = 0.05
"""By so much of its size memory may grow over the second half of a process's life here."""


def list_lives(rests: Sequence[Rest], daemon: str) -> list[list[Reading]]:
    """The daemon's rests, process by process."""
    lives: list[list[Reading]] = []
    for rest in rests:
        reading = rest.readings.get(daemon)
        if reading is None:
            continue
        if lives and lives[-1][-1].pid == reading.pid:
            lives[-1].append(reading)
        else:
            lives.append([reading])
    return lives


def find_faults(daemon: str, life: Sequence[Reading]) -> list[str]:
    """What is not flat over one process's rests, as sentences: the later half is held to the earlier."""
    half = max(1, len(life) // 2)
    base, later = life[:half], life[half:]
    faults = [
        f"{daemon} ({reading.pid}) counts {reading.gauges[name]} {name} at rest"
        for reading in life
        for name in NONE_AT_REST
        if reading.gauges.get(name)
    ]
    for name, spare in (("files", SPARE_FILES), ("threads", SPARE_THREADS), ("children", 0)):
        before = max(getattr(reading, name) for reading in base)
        # One rest may fall on something that is about to end; what stays is there at two of three.
        after = statistics.median_low([getattr(reading, name) for reading in later[-3:]]) if later else before
        if after > before + spare:
            faults.append(f"{daemon} ({life[0].pid}) holds {after} {name} at rest, where it held {before}")
    if len(life) >= FEWEST_RESTS:
        before = statistics.median(reading.rss_bytes for reading in life[half : half + 2])
        after = statistics.median(reading.rss_bytes for reading in life[-2:])
        if after > before * (1 + MOST_GROWTH):
            faults.append(
                f"the memory of {daemon} ({life[0].pid}) grew from {before / 1e6:.1f} to {after / 1e6:.1f} MB "
                f"over its last {len(later)} rests"
            )
    return faults

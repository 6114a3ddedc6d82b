"""How long to wait before something that failed is tried again."""

from __future__ import annotations

_MOST_DOUBLINGS = 20


def compute_retry_seconds(failures: int, *, least_seconds: float, most_seconds: float, jitter: float) -> float:
    """The wait after so many failures in a row: half of a doubling limit for certain, the other half by `jitter`.

    `jitter` is from 0 up to 1; the wait lies between half of `least_seconds` and `most_seconds`.
    """
    limit = min(most_seconds, least_seconds * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))
    return limit * (0.5 + jitter / 2)

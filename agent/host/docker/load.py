"""How many calls of the engine are under way, how long they take and how many fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from time import perf_counter
from typing import Final

from kit.exposition import Histogram

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class CallLoad:
    """Counts calls that end with an answer; streams, which last as long as somebody reads, are none of them."""

    def __init__(self) -> None:
        self.under_way = 0
        self.failed = 0
        """Calls that were refused, or had no answer in time."""
        self.seconds = Histogram(_SECONDS)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Count what happens inside as one call."""
        started = perf_counter()
        self.under_way += 1
        try:
            yield
        except Exception:
            self.failed += 1
            raise
        finally:
            self.under_way -= 1
            self.seconds.add(perf_counter() - started)

"""What every program of ours does once, when it has started."""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLDS: Final = (10_000, 5, 200)
"""The loop stands still while the collector looks: about 5 ms for 10,000 new objects of linked nodes, and five times
that for the second generation. With 50,000 and twenty it was 35 ms, and twenty times that."""


def settle_memory() -> None:
    """Take what start-up made out of the collector's sight, and let it look less often from then on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)

"""What every program of ours does once, when it has started."""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLDS: Final = (50_000, 20, 100)


def settle_memory() -> None:
    """Take what start-up made out of the collector's sight, and let it look less often from then on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)

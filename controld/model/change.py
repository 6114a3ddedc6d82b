"""What the change feed tells: that something with this kind and id may be different now."""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed: a kind such as "service" or "token", and which one."""

    kind: str
    id: str


EVERYTHING: Final = Change("*", "*")
"""Any of all things may have changed: what was remembered cannot be trusted."""

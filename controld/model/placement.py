"""Where the replicas of a service may go."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Final


class Spread(enum.Enum):
    """How the replicas of one service share the nodes."""

    PREFER = "prefer"
    """On different nodes as far as there are enough."""
    REQUIRE = "require"
    """Never two on one node."""
    PACK = "pack"
    """On as few nodes as they fit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The nodes that a service may run on, and how its replicas share them."""

    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """A node has to carry all of these."""
    nodes: tuple[str, ...] = ()
    """Names or ids of the nodes to choose from; empty: all."""
    spread: Spread = Spread.PREFER


ANYWHERE: Final = Placement()

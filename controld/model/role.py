"""Roles in a project, in their order."""

from __future__ import annotations

import enum
from typing import Final


class Role(enum.Enum):
    """What a member of a project may do: each role may all that the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Its place in the order, higher for more."""
        return _RANK[self]


_RANK: Final = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}
